// Statistics of a leaderboard: how well methods do over several tasks from a few runs of each, with intervals,
// and which methods the runs can tell apart. Scores in, numbers out: nothing here reads a store or a file.
//
//   std::vector<MethodScores> methods = ...;                  // every run of every method
//   const Leaderboard board = leaderboard(methods, {});       // values, intervals, rank ranges, tiers
//   const Comparison pair = compare(methods[0], methods[1], {});
//   std::puts(pair.sentence().c_str());
//
// A run is one training (of one seed), scored as a whole: the mean of its episodes. Scores are normalised by
// the task's own fixed numbers and higher is better. Runs are the units that are drawn again, with replacement
// within each task (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical
// Precipice"). Every task has equal weight however many runs it has; with equally many runs in each task the
// values are rliable's. docs/board-statistics.md has definitions, sources and measured coverage.
//
// Draws are named by (seed, task, runs), so neither the number of threads nor the order of the input nor what
// other methods are on the board changes a method's value or interval.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/statistics.h"
#include "core/thread_pool.h"

namespace diffreward {

/// What two methods' runs may share. Runs of one task with equal keys met the same luck: they are drawn
/// together, and what they share cancels in the difference.
struct RunKey {
  std::uint64_t train_seed = 0;
  std::uint64_t stream =
      0;  ///< names the starts of the run's episodes: any number that is equal for equal lists
  auto operator<=>(const RunKey&) const = default;
};

struct RunScore {
  double score = 0;                ///< not finite: a failed run, which makes the method incomplete
  std::optional<RunKey> key = {};  ///< none: the run shares nothing with others
};

struct TaskScores {
  std::string task = {};
  std::vector<RunScore> runs = {};  ///< of any number; it may differ between tasks and methods
};

struct MethodScores {
  std::string method = {};
  std::vector<TaskScores> tasks = {};  ///< in any order, no task twice
};

/// Scores of one method by task, without names: what the definitions below take.
using ScoresByTask = std::vector<std::vector<double>>;  // [tasks][runs of the task]

// Definitions. Each throws InvalidArgument, naming itself, without tasks, for a task without runs, and for a
// score that is not finite.

enum class Aggregate {
  kInterquartileMean,  ///< mean of the middle half of all runs: floor(n / 4) are left out at each end
  kMean,
  kMedian,         ///< median over tasks of the task's mean
  kOptimalityGap,  ///< mean shortfall max(0, target - score); lower is better
};
/// "iqm", "mean", "median", "optimality_gap". Throws InvalidArgument for other names.
Aggregate aggregate_named(const std::string& name);
/// The same in words: "interquartile mean".
std::string aggregate_words(const std::string& name);

/// A run of task k of K with n_k runs has weight 1 / (K n_k). Of N runs in all the interquartile mean leaves out
/// the weight floor(N / 4) / N at each end, of the run on the edge a part. Equal to rliable's (Agarwal et al. 2021,
/// metrics.py) for equal n_k.
double aggregate(Aggregate which, const ScoresByTask& scores, double target = 1);

/// Mean over tasks of P(a > b) + P(a = b) / 2 over all pairs of a run of a and one of b (Mann and Whitney
/// 1947; Agarwal et al. 2021). Both have the same tasks in the same order.
double probability_of_improvement(const ScoresByTask& a, const ScoresByTask& b);

/// The share of runs, mean over tasks, that score more than each threshold (Dolan and More 2002; Agarwal et
/// al. 2021: score distributions, strict).
std::vector<double> performance_profile(const ScoresByTask& scores, std::span<const double> thresholds);

// Intervals. An estimate without an interval has unbounded ends, as in core/statistics.h; JSON has null.

/// Of everything below.
struct BoardStatisticsConfig {
  std::string aggregate = "iqm";
  double target = 1;  // of the optimality gap
  int resamples = 10000;
  double confidence =
      0.95;            // of an interval; 1 - confidence is the error of a test, and of a family of tests
  double power = 0.8;  // that an announced number of further runs aims at
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("aggregate", self.aggregate, "how scores of all tasks become one value",
          Choices{"iqm", "mean", "median", "optimality_gap"});
    field("target", self.target, "score from which the optimality gap is 0");
    field("resamples", self.resamples, "bootstrap resamples", Bounds{100, 1e6});
    field("confidence", self.confidence, "confidence of intervals, and of a family of tests together",
          Bounds{0.5, 0.9999});
    field("power", self.power, "chance to tell two methods apart that further runs are counted for",
          Bounds{0.5, 0.99});
    field("seed", self.seed, "seed of the resampling");
  }
};

constexpr std::size_t kFewestRuns = 3;  ///< of a task; below them there is no interval

/// One value with its intervals. The first is the one to show; the others are what people may look for.
struct BoardEstimate {
  /// value +- t_d S with the bootstrap's standard error, expanded for few runs (core/statistics.h,
  /// expanded_error()); Student's t for a mean of one task, Welch's for the difference of two.
  Estimate estimate = {};
  /// Hesterberg's (2015) expanded percentiles: quantiles of the resamples at Phi(-t_d S / S_bootstrap). They
  /// cannot reach beyond the resamples, and cover less with few runs of few tasks.
  Estimate expanded_percentile = {};
  Estimate percentile = {};  ///< the plain percentiles that rliable has
  Json json() const;  ///< {"value", "low", "high", "expanded_percentile": [low, high], "percentile": ...}
};

/// The aggregate of one method's tasks. Throws InvalidArgument naming method and task for runs that are
/// missing or not finite.
BoardEstimate estimate(const MethodScores& method, const BoardStatisticsConfig& config,
                       ThreadPool* pool = nullptr);

/// A performance profile with pointwise percentile intervals (as rliable's figures show it).
std::vector<Estimate> profile_with_intervals(const MethodScores& method, std::span<const double> thresholds,
                                             const BoardStatisticsConfig& config, ThreadPool* pool = nullptr);

// Two methods.

enum class Verdict { kFirst, kSecond, kUndecided };

/// Two methods on the tasks that both have.
struct Comparison {
  std::string first = {}, second = {};
  std::string aggregate = "iqm";
  std::vector<std::string> tasks = {};     ///< both have
  std::vector<std::string> left_out = {};  ///< one of them lacks
  std::vector<std::string> paired = {};    ///< tasks whose runs share their keys on both sides, all of them
  BoardEstimate difference = {};           ///< aggregate of first minus second, on `tasks`
  BoardEstimate improvement = {};          ///< probability that a run of first beats one of second
  double p = 1;                            ///< of no difference, two-sided; 1 without an interval
  double level = 0.05;                     ///< the verdict's: undecided unless p <= level
  double confidence = 0.95;
  Verdict verdict = Verdict::kUndecided;  ///< which is better
  /// Undecided: about how many more runs of each task each method needs, if the difference is as large as it
  /// looks, to be told with the config's power. Nothing where it was told, or when there is no telling:
  /// no interval, no difference, or more than 10,000 runs.
  std::optional<int> more_runs = {};
  std::string note = {};  ///< why there is no interval

  /// One English sentence: whether they differ, by how much with the interval, and
  /// what would tell.
  std::string sentence() const;
  Json json() const;
};

/// `level` replaces 1 - confidence in the verdict and in the interval: a look's (below). Throws
/// InvalidArgument when no task is shared, for a score of a shared task that is not finite, for equal keys of
/// two runs in one task of one method, for two methods of one name, and for a level outside [0, 1); level 0
/// decides nothing.
Comparison compare(const MethodScores& first, const MethodScores& second, const BoardStatisticsConfig& config,
                   std::optional<double> level = {}, ThreadPool* pool = nullptr);

// Many methods.

/// A method's place.
struct Standing {
  std::string method = {};
  BoardEstimate value = {};
  /// Of 1 ... ranked methods: 1 + how many are told to be better, and ranked methods - how many are told to be worse
  /// (Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for Ranks"). 0 when unranked.
  int best_rank = 0, worst_rank = 0;
  int tier = 0;               ///< 1 is best; a tier's members are not told from its first. 0 when unranked
  std::string unranked = {};  ///< why: the task that lacks runs, or the run that failed; empty when ranked
  Json json() const;
};

/// Two ranked methods, each tested beside all other pairs.
struct PairStanding {
  std::string first = {}, second = {};  ///< first has the better value
  Estimate difference = {};             ///< first minus second; the intervals of all pairs hold together
  double p = 1;              ///< adjusted: at most 1 - confidence with this chance or less for any wrong one
  double improvement = 0.5;  ///< probability that a run of first beats one of second
  bool told = false;         ///< p <= 1 - confidence
};

struct Leaderboard {
  std::vector<std::string> tasks = {};   ///< of all methods together, in order of first appearance
  std::vector<Standing> standings = {};  ///< best value first, then those unranked by name
  std::vector<PairStanding> pairs =
      {};  ///< of ranked methods, in the standings' order: (0, 1), (0, 2) ... (1, 2) ...
  BoardStatisticsConfig config = {};
  Json json() const;
};

/// All methods on all tasks: a method that lacks a task, or has a run that is not finite, is unranked; without
/// an interval (below kFewestRuns) it is ranked but never told from another. Pairs are told apart by the
/// bootstrap's max-|t|, step-down (Romano and Wolf 2005, "Stepwise Multiple Testing as Formalized Data
/// Snooping"), each t as the normal's quantile of equal tail, but never more readily than by Tukey's range of
/// independent methods or, where runs are drawn together, Holm's test, which few runs need: the chance of
/// telling any two equal methods apart is about 1 - confidence at most (measured: docs/board-statistics.md). Throws
/// InvalidArgument for two methods or tasks of one name and for equal keys of two runs.
Leaderboard leaderboard(std::span<const MethodScores> methods, const BoardStatisticsConfig& config,
                        ThreadPool* pool = nullptr);

/// The methods, complete on request: `score`, the task's score of doing nothing, in place of each run that is
/// not finite, and for a task that one of the methods has and another lacks as many runs of it as the latter
/// has of the task of which it has the fewest.
std::vector<MethodScores> failures_as(std::vector<MethodScores> methods, double score);

// Looks. Streams of episodes are sealed; who looks again and again, and stops when he likes what he sees,
// must share one error among the looks.

/// How much of the error may be spent once a share t of the pool is uncovered (Lan and DeMets 1983, "Discrete
/// Sequential Boundaries for Clinical Trials").
enum class Spending {
  kOBrienFleming,  ///< 2 - 2 Phi(z_{1 - alpha/2} / sqrt(t)): hardly anything early
  kPocock,         ///< alpha ln(1 + (e - 1) t): nearly evenly
};

/// Cumulative error that may be spent at a share of the pool in [0, 1], of `alpha` in (0, 1) in all. 0 at 0,
/// alpha at 1, rising between. Throws InvalidArgument outside.
double alpha_spent(Spending rule, double share, double alpha = 0.05);

/// The level of one look: alpha_spent() less what earlier looks have spent, at least 0. By the union bound the
/// levels of all looks together err with at most `alpha`, however their data depend on each other; nothing is
/// assumed of their distribution. A look that uncovers nothing new has nothing to spend.
double look_level(Spending rule, double share, double spent_before, double alpha = 0.05);

}  // namespace diffreward
