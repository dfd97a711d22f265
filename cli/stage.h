// A stage: one command's work in one folder, reusable. The folder holds the products, `config.toml` (the
// resolved config, readable by --config) and, once everything is complete, `stage.json` with config, inputs
// and result.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/config.h"

namespace diffreward::cli {

/// Runs `work` in `folder` and records its result, unless `reuse` is set and the folder holds a finished
/// stage of the same command, version, config and inputs, whose result is then returned; with `reuse`, what a
/// stage of another making left in the folder is removed first. `inputs` are files or stage folders. Two runs
/// on one folder at a time are refused.
Json run_stage(const std::string& command, const std::filesystem::path& folder, const Json& config,
               const std::vector<std::filesystem::path>& inputs, bool reuse,
               const std::function<Json()>& work);

/// The product `name` when `path` is a stage's folder, else `path` itself. Throws Error for a folder without
/// it, but leaves a folder that may be a Minari data set.
std::filesystem::path product(const std::filesystem::path& path, const std::string& name);

}  // namespace diffreward::cli
