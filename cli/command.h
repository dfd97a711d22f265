// The frame of every subcommand: options from flags and a config file, one result, one exit code.
//
// Flags are the fields of the command's config with dashes: "--ppo.action-repeat" for ppo.action_repeat, for
// which "--action-repeat" is enough where no other field ends so. A group whose first field is a text is
// given by its own name ("--env" for env.id), a free table entry by entry ("--env-option KEY=VALUE" for
// env.options). `--config run.toml` reads the same names (expand_names) from a table named after the
// command, or from the top level, where those of other commands may stand too. A table that could be another
// command's or a group of this one's is the group. Flags win over the command's table, and that over the top
// level, field by field and in free tables entry by entry. A command of a group, "sd sample", has the table
// [sd.sample]. A list that may be given by position takes all that stand there. Exit codes: 0 done, 1 failed, 2 wrong use.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "cli/section.h"
#include "cli/stage.h"
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

/// One subcommand, of one word or, in a group, two ("sd sample"). `run` gets the resolved config as JSON and returns the result.
struct Command {
  std::string name, summary, details;
  std::vector<std::string> positionals;  // fields that may also be given by position, in this order
  std::vector<std::string> required;     // fields that must be given; both by any name that stands for one
  std::vector<FieldInfo> (*fields)();
  Json (*run)(const Json& config);
  void (*print)(const Json& result, std::ostream& out);
  int (*exit_code)(const Json& result) = nullptr;  // none: 0 for every result
  // Of commands that are steps of jobs: what it makes and from what, and its section of a report.
  StageSpec (*stage)(const Json& config) = nullptr;
  Section section = nullptr;
};

/// Prints a result as an indented list of names and values, numbers rounded (the default `print`).
void print_result(const Json& result, std::ostream& out);

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

/// A Command that makes a stage, and so can be a step of a job: `stage_of(config)` says which.
template <class Config, Json (*Run)(const Config&)>
Command make_stage_command(std::string name, std::string summary, std::string details,
                           std::vector<std::string> required, Section section) {
  Command command = make_command<Config, Run>(std::move(name), std::move(summary), std::move(details), {},
                                              std::move(required), print_result);
  command.stage = [](const Json& values) {
    Config config;
    update(config, values);
    return stage_of(config);
  };
  command.section = section;
  return command;
}

/// All subcommands, in the order of the pipeline (commands.cpp: the one list).
const std::vector<Command>& commands();
/// The first words of commands that have two, in order.
std::vector<std::string> command_groups();
/// Throws UsageError for an unknown name, with the nearest.
const Command& find_command(const std::string& name);

/// Parses and runs `diffreward <args>`; prints to out and err; returns the exit code.
int run_cli(std::span<const std::string> args, std::ostream& out, std::ostream& err);

/// The same for one command whose name is already read; also the frame of other programs (benchmarks).
int run_command(const Command& command, std::span<const std::string> args, std::ostream& out,
                std::ostream& err);

/// Whether results and records, which are JSON, can hold the text.
bool is_utf8(const std::string& text);

/// "--ppo.action-repeat" for "ppo.action_repeat".
std::string flag_of(std::string field);

/// The option that help shows for one of a command's fields: flag_of() its name, but "--env" for env.id and
/// "--env-option" for the free table env.options.
std::string option_of(const FieldInfo& field, const std::vector<FieldInfo>& all);

/// A value of a free table as people write it: a JSON list or object, true or false, a number, numbers with commas
/// between, or else the text itself.
Json value_of_text(const std::string& text);

/// Flags of one command as a nested config of what was given (exposed for tests). Throws UsageError.
Json parse_flags(const Command& command, std::span<const std::string> args, Common& common,
                 std::string& config_file);

/// What a TOML file gives `command`, as a nested config. Throws UsageError naming file, line and key.
Json read_config_file(const std::string& path, const Command& command, const std::vector<Command>& all);

}  // namespace diffreward::cli
