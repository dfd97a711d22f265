// The subcommands for jobs: run makes the steps of a job, report writes its pages again.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/job.h"
#include "core/config.h"

namespace diffreward::cli {

struct RunJobConfig {
  std::string job;                // a TOML file, or a built-in job; empty lists these
  std::string out;                // folder
  std::string seeds;              // "0-4" or "0,1,5": a folder each; empty: the job's own seed
  Json set = Json::object();      // "maze.map" or "rl.ppo.lr" to value
  std::vector<std::string> only;  // steps to make, with what they need; empty: all
  bool list = false;              // tell what is done and make nothing
  std::string results;            // a results file that the figures are merged into
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("job", self.job, "a TOML file, or the name of a built-in job; empty lists these");
    field("out", self.out, "folder for the steps, results.json and report.html");
    field("seeds", self.seeds, "as 0-4 or 0,1,5: each in a folder of its own; empty for the job's");
    field("set", self.set, "change a variable (maze.map=my.txt) or a step (rl_true.ppo.lr=3e-4)");
    field("only", self.only, "steps to make, with what they need, and the figures of these; empty for all");
    field("list", self.list, "tell what is done, to be done, and how long it took; make nothing");
    field("results", self.results, "results file that the figures are merged into");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};
/// Figures, each step's time, and the page's path. Finished steps are reused, a job that was stopped resumes.
Json run_job(const RunJobConfig& config);
void print_job(const Json& result, std::ostream& out);

/// What run_job starts from: the job's document with values set. Throws UsageError.
Json document_of(const RunJobConfig& config);
/// A document whose variables name files by paths that hold from anywhere.
Json with_absolute_files(Json document, int depth = 0);
/// A command line that makes a job's figures again.
std::string command_line(const RunJobConfig& config);
/// A job of these steps and what they need, with the figures that read no others; of all where `only` is empty. Throws
/// UsageError for an unknown step.
Job part_of(Job job, const std::vector<std::string>& only);
/// Every step of a job, once.
std::vector<JobStep> steps_of(const Job& job);

/// Sees to it that a step's folder holds its finished stage.
using StepMaker = std::function<void(const JobStep& step)>;
/// run_job on a document, with steps made by `make`; config.job and config.set are told by command_line() alone.
Json run_document(const RunJobConfig& config, Json document, const StepMaker& make);

struct ReportConfig {
  std::string results;  // folder of a job
  std::string out;      // HTML file; empty: report.html in that folder

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("results", self.results, "folder that a job was run in");
    field("out", self.out, "HTML file to write; empty for report.html in that folder");
  }
};
/// Writes the page again; returns its path and the figures it shows. Throws Error naming a step that is
/// missing.
Json run_report(const ReportConfig& config);

}  // namespace diffreward::cli
