// Prints what leaderboard/statistics.h makes of scores, for comparison with rliable. Standard input: one JSON
// object a line, {"a": [tasks][runs], "b": [tasks][runs], "thresholds": [...], "target": ...}; standard
// output: one object for each. With "resamples" also the percentile interval of a's interquartile mean and of
// the probability of improvement.
#include <cstdio>
#include <iostream>
#include <string>

#include "leaderboard/statistics.h"

using namespace diffreward;

namespace {

ScoresByTask scores(const Json& line, const char* name) {
  ScoresByTask out;
  for (const Json& task : line.at(name)) out.push_back(task.get<std::vector<double>>());
  return out;
}

MethodScores method(const std::string& name, const ScoresByTask& scores) {
  MethodScores out{.method = name};
  for (std::size_t task = 0; task < scores.size(); ++task) {
    out.tasks.push_back({.task = std::to_string(task)});
    for (const double score : scores[task]) out.tasks.back().runs.push_back({.score = score});
  }
  return out;
}

}  // namespace

int main() {
  for (std::string text; std::getline(std::cin, text);) {
    const Json line = parse_json(text, "standard input");
    const ScoresByTask a = scores(line, "a"), b = scores(line, "b");
    const auto target = member<double>(line, "target");
    Json out = {{"iqm", aggregate(Aggregate::kInterquartileMean, a)},
                {"mean", aggregate(Aggregate::kMean, a)},
                {"median", aggregate(Aggregate::kMedian, a)},
                {"optimality_gap", aggregate(Aggregate::kOptimalityGap, a, target)},
                {"improvement", probability_of_improvement(a, b)},
                {"profile", performance_profile(a, member<std::vector<double>>(line, "thresholds"))}};
    if (line.contains("resamples")) {
      const BoardStatisticsConfig config{.resamples = member<int>(line, "resamples")};
      const Comparison pair = compare(method("a", a), method("b", b), config);
      out["iqm_percentile"] = estimate(method("a", a), config).percentile.json();
      out["improvement_percentile"] = pair.improvement.percentile.json();
    }
    std::puts(out.dump().c_str());
  }
}
