// A job's figures and its report: what the finished steps came to.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/job.h"
#include "cli/section.h"
#include "core/statistics.h"
#include "leaderboard/results.h"

namespace diffreward::cli {

/// The record of a step that was made. Throws Error naming the folder where it was not.
StepRecord record_of(const JobStep& step);

/// Every figure over all runs of a job, of which all steps that they read were made: values are averaged over
/// the other axes first, then over seeds, with Student's interval (of `over`: the delta method's). One run
/// keeps the interval of its estimate. `command` prints the figures again.
std::vector<Result> figures_of(const Job& job, const std::string& command);

/// The page of one run: figures on top, then a section for each command in the order of the steps.
Page report_of(const Job& job, const JobRun& run, const std::vector<Result>& figures);

/// The mean of a over that of b, [seeds] each. Student's interval of the linearised ratio (the delta method),
/// which stands where b is 0 for some seed, too; none where the mean of b may be 0 (Fieller 1954: it is unbounded).
Estimate ratio_of_means(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace diffreward::cli
