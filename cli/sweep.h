// diffreward sweep: a job at many settings and seeds, by any number of processes on machines that share a file system.
//
// A plan counts the pairs of a setting and a seed; an index is one of them, run by the code of `diffreward run` in a folder
// of its own. Stages are made once for all indices that need them. A sweep's folder holds
//   plan.json                        the job's document, the setting of each index and the stages that it needs
//   stages/<step>-<hash>/            finished stages, by their resolved configs and inputs
//   runs/<I>/                        of an index: job.toml, results.json, report.html, links to its stages, index.json
//   failed/<I>.json                  why the last try at an index failed
//   attempts/                        work in progress (core/attempt.h)
//   quarantine/                      stages that came out differently the second time
// A folder gets its name by one rename when it is whole; there is no lock.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "cli/shard.h"
#include "core/config.h"

namespace diffreward::cli {

struct SweepPlanConfig {
  std::string job;                // a TOML file, or a built-in job
  Json over = Json::object();     // key to values: "0..4", "1,8", a list
  std::string over_file;          // TOML: [over] as above, [[settings]] explicit ones
  Json set = Json::object();      // as of run, for all indices
  std::vector<std::string> only;  // steps
  std::string out;                // folder

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("job", self.job, "a TOML file, or the name of a built-in job");
    field("over", self.over,
          "values of a key of --set: a range (seed=0..4), a list (extract.window=1,8), JSON where values are "
          "lists; several keys: each with each, the last one fastest");
    field("over_file", self.over_file, "TOML file: a table [over] of the same, [[settings]] one by one");
    field("set", self.set, "change a variable or a step of all, as run does");
    field("only", self.only, "steps to make, with what they need, and the figures of these; empty for all");
    field("out", self.out, "folder of the sweep, on a disk that all machines share");
  }
};

struct SweepRunConfig {
  std::string sweep;  // folder
  IndexChoice choice;
  double wait = 60;
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("sweep", self.sweep, "folder of the sweep");
    IndexChoice::visit(self.choice, field);
    field("wait", self.wait,
          "seconds without a sign of life, of which there is one every 3, after which another machine's work "
          "at a "
          "stage counts as lost; 0: nobody's is waited for",
          Bounds{0, 86400});
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct SweepStatusConfig {
  std::string sweep;  // folder

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("sweep", self.sweep, "folder of the sweep");
  }
};

struct SweepCollectConfig {
  std::string sweep;  // folder
  std::string out;    // of table.csv, .json and .md; empty: the sweep's
  bool partial = false;
  std::string results;  // results file that the figures are merged into
  std::string board;    // board's file; empty: none
  std::string tasks;    // of the board
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("sweep", self.sweep, "folder of the sweep");
    field("out", self.out, "folder for table.csv, table.json and table.md; empty for the sweep's");
    field("partial", self.partial, "make the tables of what is there; they name what is missing");
    field("results", self.results, "results file that the figures are merged into");
    field("board", self.board, "board that agents, planners and rewards are submitted to; empty for none");
    field("tasks", self.tasks,
          "of the board: a suite, or any beginning of names; empty for those of a stage's environment");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

/// Everything resolved and checked, nothing made. Throws UsageError for a key that there is not, one that no step reads, and
/// values that make no job.
Json run_sweep_plan(const SweepPlanConfig& config);
/// Makes indices; one that fails is told, and the others are made. Those that are there are kept.
Json run_sweep_run(const SweepRunConfig& config);
int exit_code_of_sweep_run(const Json& result);
Json run_sweep_status(const SweepStatusConfig& config);
/// A row a setting, of each figure the mean over seeds with its interval (figures_of()). Throws Error naming the indices
/// that are missing, unless a part is wanted.
Json run_sweep_collect(const SweepCollectConfig& config);
void print_sweep_collect(const Json& result, std::ostream& out);

}  // namespace diffreward::cli
