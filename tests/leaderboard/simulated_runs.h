// Runs of known distributions, and how often the board's intervals hold their true value and its tests tell
// equal methods apart. Tests take few repetitions, benchmarks/board_coverage.cpp many.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "leaderboard/statistics.h"

namespace diffreward {

enum RunKind {
  kNormalRuns,    ///< task's mean + task's scale * normal
  kSkewedRuns,    ///< the same with log-normals of sigma 1/4 (skewness 0.78), moved to mean 0, times 4
  kSuccessRates,  ///< 50 episodes, whose chance of success is drawn for each run, between 0 and 1
};

inline std::string name_of(RunKind kind) {
  return kind == kNormalRuns ? "normal" : kind == kSkewedRuns ? "skewed" : "success rates";
}

/// Tasks differ: means from 0.2 to 0.9 and scales from 0.05 to 0.15 (one task: 0.5 and 0.1); the chance of success is
/// the largest or smallest of 4 uniforms, whose mean is 0.8 or 0.2, in every other task.
inline ScoresByTask simulated_scores(RunKind kind, std::size_t tasks, std::size_t runs, Rng& rng,
                                     double shift = 0) {
  ScoresByTask out(tasks);
  for (std::size_t task = 0; task < tasks; ++task) {
    const double place = tasks == 1 ? 0.5 : double(task) / double(tasks - 1);
    const double mean = tasks == 1 ? 0.5 : 0.2 + 0.7 * place, scale = 0.05 + 0.1 * place;
    for (std::size_t run = 0; run < runs; ++run) {
      double score = 0;
      if (kind == kNormalRuns) score = mean + scale * rng.normal();
      if (kind == kSkewedRuns) score = mean + scale * 4 * (std::exp(rng.normal() / 4) - std::exp(1.0 / 32));
      if (kind == kSuccessRates) {
        double chance = 0;
        for (int i = 0; i < 4; ++i) chance = std::max(chance, rng.uniform());
        if (task % 2 == 1) chance = 1 - chance;
        for (int episode = 0; episode < 50; ++episode) score += rng.uniform() < chance ? 0.02 : 0;
      }
      out[task].push_back(score + shift);
    }
  }
  return out;
}

inline MethodScores simulated_method(const std::string& name, const ScoresByTask& scores, bool keyed) {
  MethodScores out{.method = name};
  for (std::size_t task = 0; task < scores.size(); ++task) {
    out.tasks.push_back({.task = "task " + std::to_string(task)});
    for (std::size_t run = 0; run < scores[task].size(); ++run) {
      out.tasks.back().runs.push_back({.score = scores[task][run]});
      if (keyed) out.tasks.back().runs.back().key = RunKey{.train_seed = run, .stream = 1};
    }
  }
  return out;
}

/// Share of 95 % intervals of the interquartile mean that hold its value of very many runs.
struct Coverage {
  double shown = 0, expanded_percentile = 0, percentile = 0;
  double width = 0;  ///< of those shown, mean
};

inline double true_interquartile_mean(RunKind kind, std::size_t tasks) {
  static std::map<std::pair<RunKind, std::size_t>, double> known;
  const auto [entry, added] = known.try_emplace({kind, tasks});
  if (added) {
    Rng rng(Seed(123, 9));
    entry->second =
        aggregate(Aggregate::kInterquartileMean, simulated_scores(kind, tasks, 400000 / tasks, rng));
  }
  return entry->second;
}

inline Coverage coverage_of(RunKind kind, std::size_t tasks, std::size_t runs, int repetitions,
                            int resamples) {
  const double truth = true_interquartile_mean(kind, tasks);
  Rng rng(Seed(17, std::uint64_t(kind) * 10000 + tasks * 100 + runs));
  Coverage out;
  const auto holds = [&](const Estimate& estimate) {
    return (estimate.low <= truth && truth <= estimate.high ? 1.0 : 0.0) / repetitions;
  };
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    const MethodScores method = simulated_method("method", simulated_scores(kind, tasks, runs, rng), false);
    const BoardEstimate e = estimate(method, {.resamples = resamples, .seed = std::uint64_t(repetition)});
    out.shown += holds(e.estimate);
    out.expanded_percentile += holds(e.expanded_percentile);
    out.percentile += holds(e.percentile);
    out.width += (e.estimate.high - e.estimate.low) / repetitions;
  }
  return out;
}

/// The same of the difference and the probability of improvement of two methods, one better by 0.1 (success
/// rates: by 5 of 50 episodes, up to more than all). Keyed: both share a part of each run's score.
struct PairCoverage {
  double difference = 0, improvement = 0;
};

/// Scores of both, shared parts included.
inline std::pair<ScoresByTask, ScoresByTask> simulated_pair(RunKind kind, std::size_t tasks, std::size_t runs,
                                                            bool keyed, Rng& rng) {
  ScoresByTask better = simulated_scores(kind, tasks, runs, rng, 0.1),
               worse = simulated_scores(kind, tasks, runs, rng);
  if (keyed) {
    const ScoresByTask shared = simulated_scores(kNormalRuns, tasks, runs, rng);
    for (std::size_t task = 0; task < tasks; ++task)
      for (std::size_t run = 0; run < runs; ++run) {
        better[task][run] += shared[task][run];
        worse[task][run] += shared[task][run];
      }
  }
  return {std::move(better), std::move(worse)};
}

/// The pair of very many runs.
inline PairCoverage true_pair(RunKind kind, std::size_t tasks, bool keyed) {
  Rng rng(Seed(123, 10));
  const auto [better, worse] = simulated_pair(kind, tasks, 400000 / tasks, keyed, rng);
  return {aggregate(Aggregate::kInterquartileMean, better) - aggregate(Aggregate::kInterquartileMean, worse),
          probability_of_improvement(better, worse)};
}

inline PairCoverage pair_coverage_of(RunKind kind, std::size_t tasks, std::size_t runs, int repetitions,
                                     int resamples, bool keyed) {
  const PairCoverage truth = true_pair(kind, tasks, keyed);
  Rng rng(Seed(19, std::uint64_t(kind) * 10000 + tasks * 100 + runs));
  PairCoverage out;
  const auto holds = [&](const Estimate& estimate, double value) {
    return (estimate.low <= value && value <= estimate.high ? 1.0 : 0.0) / repetitions;
  };
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    const auto [better, worse] = simulated_pair(kind, tasks, runs, keyed, rng);
    const Comparison pair =
        compare(simulated_method("better", better, keyed), simulated_method("worse", worse, keyed),
                {.resamples = resamples, .seed = std::uint64_t(repetition)});
    out.difference += holds(pair.difference.estimate, truth.difference);
    out.improvement += holds(pair.improvement.estimate, truth.improvement);
  }
  return out;
}

/// Share of boards of equal methods on which any two are told apart. Keyed: a run's score has a part that all
/// methods of its seed share.
inline double family_error(RunKind kind, int methods, std::size_t tasks, std::size_t runs, int repetitions,
                           int resamples, bool keyed) {
  Rng rng(Seed(29, std::uint64_t(kind) * 10000 + tasks * 100 + runs + (keyed ? 1000000 : 0)));
  int wrong = 0;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    std::vector<MethodScores> board;
    const ScoresByTask shared = simulated_scores(kNormalRuns, tasks, runs, rng);
    for (int m = 0; m < methods; ++m) {
      ScoresByTask scores = simulated_scores(kind, tasks, runs, rng);
      if (keyed)
        for (std::size_t task = 0; task < tasks; ++task)
          for (std::size_t run = 0; run < runs; ++run) scores[task][run] += shared[task][run];
      board.push_back(simulated_method("method " + std::to_string(m), scores, keyed));
    }
    const Leaderboard out = leaderboard(board, {.resamples = resamples, .seed = std::uint64_t(repetition)});
    wrong +=
        std::any_of(out.pairs.begin(), out.pairs.end(), [](const PairStanding& pair) { return pair.told; });
  }
  return double(wrong) / repetitions;
}

}  // namespace diffreward
