// A job: a TOML file of steps, each a command with its config, and of the figures that they are made for.
//
//   title = "A reward from two diffusion models"
//   seed = 0                                  # variables; ${seed} stands for this one
//
//   [maze]                                    # variables that a recipe completes (rewards/recipes)
//   env = "Maze2D-UMaze-v0"
//
//   [[steps]]
//   name = "walks"
//   command = "generate"
//   env = "${maze.env}"                       # of the variable's type; left out where it is empty
//
//   [[steps]]
//   name = "model"
//   command = "train"
//   data = "walks"                            # an earlier step: its folder
//
//   [[steps]]
//   name = "long_model"
//   like = "model"                            # its config, but for what stands here
//   steps = 100_000
//
//   [[figures]]
//   name = "held-out loss"
//   value = "model.training.held_out"         # from the result of a step
//   bar = "<= 0.1"
//
//   [sweep]                                   # every value of a variable, each with each
//   "maze.goal_cell" = [[1, 1], [3, 1]]
//
// `extends = "other.toml"` starts from another file: tables are laid over its tables, steps and figures
// follow its own (of one name: take their place), `drop` takes names away (`figures`: all of these), and
// [set.<step>] changes steps.
//
// A step is made once for all runs that give it the same config and inputs: its folder is <out>/<step>, below
// a folder for every swept variable that it depends on ("seed_0/goal_cell_1_1/expert").
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/command.h"

namespace diffreward::cli {

/// A figure to keep. Paths are a step's name and keys of its result, joined by dots; where they lead to an
/// estimate, its value is meant. `seconds` is what the step took.
struct JobFigure {
  std::string name;
  std::string value;            // path
  std::string over, minus;      // paths; the value's mean over that one's; the value less that one
  std::string from, to;         // paths; the share of the way from one to the other that the value has gone
  double within = -1;           // the share of runs whose value is at most this
  std::string unit, bar, note;  // as in leaderboard/results.h
  std::vector<double> range;    // least and largest value that can be; intervals are cut to it
  bool headline = false;        // stands on top of the report

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("name", self.name, "the question, a row of the tables");
    field("value", self.value, "step and keys of its result");
    field("over", self.over, "the same, whose mean divides the value's");
    field("minus", self.minus, "the same, subtracted from each value");
    field("from", self.from, "the same, with `to`: the value is the share of the way from this ...");
    field("to", self.to,
          "... to this, (value - from) / (to - from), differences averaged before they are divided");
    field("within", self.within, "keep the share of values that are at most this, -1 for the values");
    field("unit", self.unit, "of the value");
    field("bar", self.bar, "what it should reach");
    field("note", self.note, "small print");
    field("range", self.range, "least and largest value that can be");
    field("headline", self.headline, "stands on top of the report");
  }
};

struct JobStep {
  std::string name, command;
  Json config;                          // nested; inputs are folders, `out` is the step's own
  std::vector<std::string> needs = {};  // earlier steps that it reads
  std::filesystem::path folder = {};
};

/// One value of each swept variable, and the steps with these.
struct JobRun {
  std::vector<Json> values;  // [axes]
  std::vector<JobStep> steps;
};

struct JobAxis {
  std::string variable;
  std::vector<Json> values;
};

struct Job {
  std::string title, about;
  std::string column, group;  // of its figures in tables (Result::maze, Result::group)
  std::vector<JobAxis> axes;  // the seed first, where seeds are given
  std::vector<JobRun> runs;   // all combinations, the last axis fastest
  std::vector<JobFigure> figures;
};

/// The document of a job file, or of a built-in job by its name, with what it extends, laid together. Throws
/// UsageError naming file and line, or the nearest name.
Json load_job(const std::string& file_or_name);
/// Names of the jobs that are built in.
std::vector<std::string> builtin_jobs();

/// A document with values set: keys are variables ("seed", "maze.map") or fields of steps ("rl.ppo.lr").
/// Throws UsageError for others, with the nearest; `option` is where they were given.
Json set_in_job(Json document, const Json& values, const std::string& option = "--set");

/// How steps' folders are named.
enum class StepFolders : std::uint8_t {
  kByVariables,  ///< <out>/seed_0/goal_cell_1_1/expert: by the swept variables that a step depends on
  kByContent,  ///< <out>/expert-0123456789abcdef: by command, resolved config and inputs, with no others below
};

/// Everything resolved and checked, nothing made. `seeds` are values of the variable `seed`; without any it
/// stays as it is and adds no folder. Throws UsageError naming the step and the key.
Job plan_job(const Json& document, const std::filesystem::path& out, const std::vector<std::uint64_t>& seeds,
             StepFolders folders = StepFolders::kByVariables);

}  // namespace diffreward::cli
