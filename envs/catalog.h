// Every environment there is. Adding one: a header, an entry in catalog.cpp, a test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "envs/env.h"

namespace diffreward {

struct EnvEntry {
  std::string id;       ///< "Maze2D-UMaze-v0"
  std::string summary;  ///< one line for people
  int max_steps;        ///< EnvSpec::max_steps, told without making an instance
  /// Makes an instance; `options` are keys of the environment's config (`options_help`).
  std::unique_ptr<Env> (*make)(const Json& options);
  std::vector<FieldInfo> (*options_help)();
};

const std::vector<EnvEntry>& env_catalog();

/// Throws InvalidArgument for an unknown id, naming the nearest.
const EnvEntry& env_entry(const std::string& id);

/// Throws InvalidArgument for an unknown id (naming the nearest), an unknown option or a bad value.
std::unique_ptr<Env> make_env(const std::string& id, const Json& options = {});

/// The spec of an environment made with these options.
EnvSpec env_spec(const std::string& id, const Json& options = {});

}  // namespace diffreward
