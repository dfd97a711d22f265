// What made a result: the program, as it was when it was built.
#pragma once

#include <string>

namespace diffreward {

/// The commit of the sources, 12 digits, with "-dirty" behind them where files differed from it; "unknown"
/// for sources outside a git checkout.
const std::string& program_commit();

/// How far up the chain a result depends on sources.
enum class Link { kAgents, kRewards };

/// SHA-256 of what numbers up to a link depend on: sources and assets of core, envs, datasets and agents, for
/// kRewards of rewards too, the stages' own sources, compiler and flags, and the versions of LibTorch, MuJoCo
/// and Box2D. Equal for commits that differ in documents, tests, pages, messages or benchmarks alone.
const std::string& program_sources(Link link);

}  // namespace diffreward
