// What comes with the project trained: a folder each, ENVIRONMENT/NAME, as the command that made it left it (model, config, metrics
// and the record of its making): policies of `diffreward rl`, and of pictures a pipeline of `sd train` and rewards of `sd extract`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace diffreward {

/// The policies' names, "HalfCheetah-v4/expert", sorted; none where an installation lacks them.
std::vector<std::string> trained_agents();

/// The folder of one, of whatever kind; nothing where there is none of that name.
std::optional<std::filesystem::path> trained_folder(const std::string& name);

}  // namespace diffreward
