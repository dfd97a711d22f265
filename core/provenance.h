// What made a result: the program, as it was when it was built.
#pragma once

#include <string>

namespace diffreward {

/// The commit of the sources, 12 digits, with "-dirty" behind them where files differed from it; "unknown"
/// for sources outside a git checkout.
const std::string& program_commit();

/// SHA-256 of everything that numbers depend on: the sources and assets in core, envs, datasets, agents,
/// rewards and cli, the build's own files, and the pinned packages. Equal for two commits that differ in
/// documents, tests, pages or benchmarks alone.
const std::string& program_sources();

}  // namespace diffreward
