// Every environment there is. Adding one: a header, an entry in catalog.cpp, a test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "envs/env.h"

namespace diffreward {

/// An environment as configs name it.
struct EnvConfig {
  std::string id = "Maze2D-UMaze-v0";
  Json options = Json::object();

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("id", self.id, "environment (diffreward envs)");
    field("options", self.options, "options of the environment, see its page");
  }
};

struct EnvEntry {
  std::string id;       ///< "Maze2D-UMaze-v0"
  std::string summary;  ///< one line for people
  int max_steps;        ///< EnvSpec::max_steps, told without making an instance
  /// Makes an instance; `options` are keys of the environment's config (`options_help`).
  std::unique_ptr<Env> (*make)(const Json& options);
  std::vector<FieldInfo> (*options_help)();
  /// Options that say which task is wanted, and those under which none is preferred: what base data is
  /// recorded under. Empty where options leave no choice of task.
  std::vector<std::string> task_options;
  Json undirected;
};

const std::vector<EnvEntry>& env_catalog();

/// Throws InvalidArgument for an unknown id, naming the nearest.
const EnvEntry& env_entry(const std::string& id);

/// Throws InvalidArgument for an unknown id (naming the nearest), an unknown option or a bad value.
std::unique_ptr<Env> make_env(const std::string& id, const Json& options = {});
std::unique_ptr<Env> make_env(const EnvConfig& config);

/// The spec of an environment made with these options.
EnvSpec env_spec(const std::string& id, const Json& options = {});

/// Whether the options say which task is wanted: they name one of EnvEntry::task_options and do not hold all
/// of EnvEntry::undirected. Never where there are no such options, as for robots. Throws InvalidArgument for
/// an unknown id and for options that are no table.
bool is_directed(const EnvConfig& config);

/// The options as they are where they are directed, else with EnvEntry::undirected beside them.
Json undirected_options(const EnvConfig& config);

}  // namespace diffreward
