// The frame of every subcommand: options from flags and a config file, one result, one exit code.
//
// Flags are the fields of the command's config with dashes ("--action-weight" for action_weight). `--config
// run.toml` reads the same keys from a table named after the command, or from the top level, where keys of
// other commands may stand too; flags win over the file. Exit codes: 0 done, 1 failed, 2 wrong use.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"

namespace diffreward::cli {

/// Wrong use of the command line or of a config file (exit code 2).
class UsageError : public Error {
 public:
  using Error::Error;
};

/// What every command understands besides its config.
struct Common {
  bool json = false;   // print the result as JSON instead of text
  bool quiet = false;  // no progress bars
};

/// One subcommand. `run` gets the resolved config as JSON and returns the result.
struct Command {
  std::string name, summary, details;
  std::vector<std::string> positionals;  // fields that may also be given by position, in this order
  std::vector<std::string> required;     // fields that must be given
  std::vector<FieldInfo> (*fields)();
  Json (*run)(const Json& config);
  void (*print)(const Json& result, std::ostream& out);
  int (*exit_code)(const Json& result) = nullptr;  // none: 0 for every result
};

/// A Command for a config type: `run` takes the typed config.
template <class Config, Json (*Run)(const Config&)>
Command make_command(std::string name, std::string summary, std::string details,
                     std::vector<std::string> positionals, std::vector<std::string> required,
                     void (*print)(const Json&, std::ostream&), int (*exit_code)(const Json&) = nullptr) {
  return {std::move(name),
          std::move(summary),
          std::move(details),
          std::move(positionals),
          std::move(required),
          [] { return diffreward::fields(Config{}); },
          [](const Json& values) {
            Config config;
            update(config, values);
            return Run(config);
          },
          print,
          exit_code};
}

/// All subcommands, in the order of the pipeline (commands.cpp: the one list).
const std::vector<Command>& commands();

/// Parses and runs `diffreward <args>`; prints to out and err; returns the exit code.
int run_cli(std::span<const std::string> args, std::ostream& out, std::ostream& err);

/// The same for one command whose name is already read; also the frame of other programs (benchmarks).
int run_command(const Command& command, std::span<const std::string> args, std::ostream& out,
                std::ostream& err);

/// "--action-weight" for "action_weight".
std::string flag_of(std::string field);

/// Flags of one command as JSON values (exposed for tests). Throws UsageError.
Json parse_flags(const Command& command, std::span<const std::string> args, Common& common,
                 std::string& config_file);

/// The keys of a TOML file that concern `command`. Throws UsageError naming file, line and key.
Json read_config_file(const std::string& path, const Command& command, const std::vector<Command>& all);

/// A config as TOML text that read_config_file understands.
std::string to_toml(const Json& config);

/// Prints a result as an indented list of names and values, numbers rounded (the default `print`).
void print_result(const Json& result, std::ostream& out);

}  // namespace diffreward::cli
