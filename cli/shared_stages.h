// Stages that several processes need, each made once: by whoever comes first, while the others wait, on a file system that
// their machines share.
//
// A stage is made in an attempt's folder of its own (core/attempt.h) and gets its place by one rename. What a process that
// ended left is continued by the next. A process at work changes a file beside its work every few seconds; whether one on
// another machine still lives is told by that change alone, with no clock that both must share: who waited in vain makes
// the stage, too. Of two that made it the second compares.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

#include "cli/job.h"

namespace diffreward::cli {

class SharedStages {
 public:
  struct Places {
    std::filesystem::path stages, attempts, quarantine;  // on one file system
    double wait = 60;  // seconds without a sign of life; 0: nobody is waited for
    int threads = 0;   // of stages
  };
  explicit SharedStages(Places places) : places_(std::move(places)) {}

  /// Sees to it that a step's folder, in `stages`, holds its finished stage. Throws Error where that is not what its
  /// record tells, where making it fails, which is tried once, and where it came out differently a second time, which is then set aside.
  void make(const JobStep& step);

 private:
  using Clock = std::chrono::steady_clock;
  struct Sign {
    std::string text;
    Clock::time_point since;
  };

  bool is_there(const JobStep& step) const;
  /// Others' attempts that show life.
  std::vector<std::filesystem::path> alive(const std::string& name);
  void expect_equal(const std::filesystem::path& made, const JobStep& step) const;

  Places places_;
  std::map<std::filesystem::path, Sign> signs_;          // as last seen
  std::map<std::filesystem::path, std::string> failed_;  // stages, and why
};

}  // namespace diffreward::cli
