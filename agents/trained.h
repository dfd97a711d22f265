// Policies that come with the project: a folder each, ENVIRONMENT/LEVEL, as `diffreward rl` left it (agent, config, metrics and
// the record of its making and judging).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace diffreward {

/// Their names, "HalfCheetah-v4/expert", sorted; none where an installation lacks them.
std::vector<std::string> trained_agents();

/// The folder of one; nothing where there is none of that name.
std::optional<std::filesystem::path> trained_agent(const std::string& name);

}  // namespace diffreward
