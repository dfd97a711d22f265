#include "leaderboard/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>

#include "core/rng.h"
#include "tests/leaderboard/simulated_runs.h"

namespace diffreward {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

TaskScores task_of(const std::string& task, const std::vector<double>& scores, bool keyed = false) {
  TaskScores out{.task = task};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    out.runs.push_back({.score = scores[i]});
    if (keyed) out.runs.back().key = RunKey{.train_seed = i, .stream = 7};
  }
  return out;
}

MethodScores method_of(const std::string& name, const ScoresByTask& scores, bool keyed = false) {
  MethodScores out{.method = name};
  for (std::size_t task = 0; task < scores.size(); ++task)
    out.tasks.push_back(task_of("task " + std::to_string(task), scores[task], keyed));
  return out;
}

template <class Function>
std::string refusal(const Function& function) {
  try {
    function();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

void expect_equal(const Estimate& a, const Estimate& b, double tolerance = 0) {
  EXPECT_NEAR(a.value, b.value, tolerance);
  EXPECT_NEAR(a.low, b.low, tolerance);
  EXPECT_NEAR(a.high, b.high, tolerance);
}

TEST(BoardStatistics, AggregatesInClosedForm) {
  const ScoresByTask scores = {{1, 2, 3, 10}, {0, 4, 5, 6}};  // 0 1 | 2 3 4 5 | 6 10
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kInterquartileMean, scores), 3.5);
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kMean, scores), (4 + 3.75) / 2);
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kMedian, {{1, 3}, {5, 5}, {0, 20}}), 5);
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kOptimalityGap, {{0.5, 2}, {1, 0.25}}, 1), (0.5 + 0.75) / 4);
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kInterquartileMean, {{1, 2, 6}}), 3);  // floor(3 / 4) = 0 left out
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kInterquartileMean, {{100, 2, 6, 4, -9}}), 4);
}

TEST(BoardStatistics, TasksWeighTheSameWithUnequallyManyRuns) {
  // Each run of the first task twice changes nothing but how much is cut.
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kMean, {{1, 1, 3, 3}, {10, 20}}),
                   aggregate(Aggregate::kMean, {{1, 3}, {10, 20}}));
  EXPECT_DOUBLE_EQ(aggregate(Aggregate::kOptimalityGap, {{0, 0, 0}, {1}}), 0.5);
  // Weights of the 9 runs, all in 9: 0.75 each of the first task, 1.5 of the second; 2 are left out at each
  // end.
  EXPECT_NEAR(aggregate(Aggregate::kInterquartileMean, {{0, 0, 0, 0, 0, 0}, {1, 1, 1}}), (4.5 - 2) / 5,
              1e-12);
}

TEST(BoardStatistics, ImprovementCountsTiesHalf) {
  EXPECT_DOUBLE_EQ(probability_of_improvement({{1, 2, 3}}, {{2, 2}}), (2 + 0.5 * 2) / 6);
  EXPECT_DOUBLE_EQ(probability_of_improvement({{1}, {5}}, {{0}, {6}}), 0.5);
  EXPECT_DOUBLE_EQ(probability_of_improvement({{1, 2}}, {{1, 2}}), 0.5);
}

TEST(BoardStatistics, ProfilesAreStrict) {
  const std::vector<double> thresholds = {-1, 0, 1, 2};
  EXPECT_THAT(performance_profile({{0, 1}, {1, 2}}, thresholds), ElementsAre(1, 0.75, 0.25, 0));
  EXPECT_THAT(performance_profile({{0, 0, 0, 1}, {1}}, std::vector<double>{0}), ElementsAre(0.625));
}

TEST(BoardStatistics, OneTaskIsStudents) {
  const std::vector<double> runs = {0.3, 0.5, 0.9, 0.4};
  for (const char* name : {"mean", "median"})
    expect_equal(estimate(method_of("a", {runs}), {.aggregate = name}).estimate, mean_of_runs(runs), 1e-14);
  expect_equal(estimate(method_of("a", {{0.3, 0.5, 0.9}}), {}).estimate,
               mean_of_runs(std::vector<double>{0.3, 0.5, 0.9}), 1e-14);
  expect_equal(estimate(method_of("a", {runs}), {.aggregate = "optimality_gap", .target = 0.6}).estimate,
               mean_of_runs(std::vector<double>{0.3, 0.1, 0, 0.2}), 1e-14);
}

TEST(BoardStatistics, SeveralTasksAreCoresExpandedBootstrap) {
  const ScoresByTask scores = {{1, 2, 6, 3}, {5, 10, 15, 20}, {7, 7, 8, 9}, {1, 0, 1, 4}};
  const auto pooled = [](std::span<const std::vector<double>> tasks) {
    std::vector<double> all;
    for (const std::vector<double>& task : tasks) all.insert(all.end(), task.begin(), task.end());
    return interquartile_mean(all);
  };
  const Estimate ours = estimate(method_of("a", scores), {.resamples = 40000}).estimate;
  const Estimate cores = expanded_bootstrap(scores, pooled, {.resamples = 40000});
  EXPECT_DOUBLE_EQ(ours.value, cores.value);
  EXPECT_NEAR(ours.high - ours.low, cores.high - cores.low, 0.03 * (cores.high - cores.low));
}

TEST(BoardStatistics, DifferencesOfOneTaskAreWelchsOrPaired) {
  const std::vector<double> a = {1, 2, 6}, b = {5, 10, 15, 20};
  const double va = 7.0 / 3, vb = 125.0 / 3 / 4;
  const double degrees = (va + vb) * (va + vb) / (va * va / 2 + vb * vb / 3);
  const Comparison apart = compare(method_of("a", {a}), method_of("b", {b}), {.aggregate = "mean"});
  const double half = student_t_quantile(0.975, degrees) * std::sqrt(va + vb);
  expect_equal(apart.difference.estimate, {3 - 12.5, 3 - 12.5 - half, 3 - 12.5 + half}, 1e-12);
  EXPECT_TRUE(apart.paired.empty());

  const std::vector<double> x = {1, 4, 9, 12}, y = {0, 4, 7, 9};
  const Comparison paired =
      compare(method_of("x", {x}, true), method_of("y", {y}, true), {.aggregate = "mean"});
  expect_equal(paired.difference.estimate, mean_of_runs(std::vector<double>{1, 0, 2, 3}), 1e-12);
  EXPECT_THAT(paired.paired, ElementsAre("task 0"));
}

TEST(BoardStatistics, PairsNeedAllKeysOnBothSides) {
  MethodScores x = method_of("x", {{1, 4, 9, 12}}, true), y = method_of("y", {{0, 4, 7, 9}}, true);
  const BoardStatisticsConfig config{.aggregate = "mean"};
  const Estimate apart =
      compare(method_of("x", {{1, 4, 9, 12}}), method_of("y", {{0, 4, 7, 9}}), config).difference.estimate;
  y.tasks[0].runs[3].key->train_seed = 99;  // one run of another seed
  Comparison c = compare(x, y, config);
  EXPECT_TRUE(c.paired.empty());
  expect_equal(c.difference.estimate, apart, 1e-12);
  y.tasks[0].runs[3].key.reset();
  EXPECT_TRUE(compare(x, y, config).paired.empty());
  y = method_of("y", {{0, 4, 7, 9}}, true);
  for (RunScore& run : y.tasks[0].runs) run.key->stream = 8;  // equal seeds, other episodes
  EXPECT_TRUE(compare(x, y, config).paired.empty());
}

TEST(BoardStatistics, OrderThreadsAndOthersChangeNothing) {
  Rng rng(3);
  std::vector<MethodScores> methods;
  for (int m = 0; m < 4; ++m)
    methods.push_back(
        method_of("method " + std::to_string(m), simulated_scores(kNormalRuns, 3, 5, rng), m < 2));
  const BoardStatisticsConfig config{.resamples = 999};
  const Leaderboard board = leaderboard(methods, config);
  ThreadPool pool(3);
  EXPECT_EQ(leaderboard(methods, config, &pool).json().dump(), board.json().dump());

  std::vector<MethodScores> turned(methods.rbegin(), methods.rend());
  for (MethodScores& method : turned) {
    std::reverse(method.tasks.begin(), method.tasks.end());
    for (TaskScores& task : method.tasks) std::reverse(task.runs.begin(), task.runs.end());
  }
  Json other = leaderboard(turned, config).json(), same = board.json();
  other.erase("tasks");
  same.erase("tasks");
  EXPECT_EQ(other.dump(), same.dump());

  for (const Standing& standing : board.standings)
    for (const MethodScores& method : methods)
      if (method.method == standing.method) {
        EXPECT_EQ(estimate(method, config).json().dump(), standing.value.json().dump());
      }
  EXPECT_NE(leaderboard(methods, {.resamples = 999, .seed = 1}).json().dump(), board.json().dump());
  EXPECT_EQ(compare(methods[0], methods[2], config, {}, &pool).json().dump(),
            compare(methods[0], methods[2], config).json().dump());
}

TEST(BoardStatistics, TwoRunsHaveNoInterval) {
  const MethodScores few = method_of("few", {{1, 2}, {3, 4, 5}});
  const BoardEstimate alone = estimate(few, {});
  EXPECT_DOUBLE_EQ(alone.estimate.value, aggregate(Aggregate::kInterquartileMean, {{1, 2}, {3, 4, 5}}));
  EXPECT_EQ(alone.estimate.low, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(alone.percentile.high, std::numeric_limits<double>::infinity());
  EXPECT_EQ(Json::parse(alone.json().dump())["low"], Json());
  const MethodScores many = method_of("many", {{101, 102, 103}, {101, 102, 103}});
  const Comparison pair = compare(few, many, {});
  EXPECT_EQ(pair.verdict, Verdict::kUndecided);
  EXPECT_EQ(pair.p, 1);
  EXPECT_EQ(pair.note, "'few', task 'task 0': 2 runs, an interval needs 3");
  EXPECT_THAT(pair.sentence(), HasSubstr("an interval needs 3"));
  const Leaderboard board = leaderboard(std::vector{few, many}, {});
  EXPECT_EQ(board.standings[0].method, "many");
  EXPECT_EQ(board.standings[0].worst_rank, 2);
  EXPECT_EQ(board.standings[1].tier, 1);
  EXPECT_FALSE(board.pairs[0].told);
}

TEST(BoardStatistics, FailuresStayAndAreNotRanked) {
  std::vector<MethodScores> methods = {
      method_of("failed", {{9, 9, 9, kNotANumber}, {9, 9, 9}}), method_of("whole", {{1, 2, 3}, {1, 2, 3}}),
      method_of("lacks a task", {{9, 9, 9}}),
      method_of("infinite", {{9, 9, std::numeric_limits<double>::infinity()}, {1, 2, 3}})};
  const Leaderboard board = leaderboard(methods, {.resamples = 200});
  ASSERT_EQ(board.standings.size(), 4U);
  EXPECT_EQ(board.standings[0].method, "whole");
  EXPECT_EQ(board.standings[0].worst_rank, 1);
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(board.standings[i].best_rank, 0);
    EXPECT_EQ(board.standings[i].tier, 0);
    EXPECT_TRUE(std::isnan(board.standings[i].value.estimate.value));
  }
  EXPECT_EQ(board.standings[1].unranked, "task 'task 0' has a run that scored nan");  // failed
  EXPECT_EQ(board.standings[2].unranked, "task 'task 0' has a run that scored inf");  // infinite
  EXPECT_EQ(board.standings[3].unranked, "task 'task 1' has no runs");
  EXPECT_THAT(refusal([&] { estimate(methods[0], {}); }),
              HasSubstr("task 'task 0' has a run that scored nan"));
  EXPECT_THAT(refusal([&] { compare(methods[1], methods[0], {}); }),
              HasSubstr("'failed': expected finite runs"));

  const Leaderboard filled = leaderboard(failures_as(methods, 0), {.resamples = 200});
  EXPECT_THAT(filled.standings, testing::Each(testing::Field(&Standing::unranked, "")));
  EXPECT_EQ(failures_as(methods, 0)[2].tasks[1].runs.size(), 3U);
}

TEST(BoardStatistics, BadInputIsNamed) {
  const BoardStatisticsConfig config;
  const MethodScores a = method_of("a", {{1, 2, 3}});
  EXPECT_EQ(refusal([&] { aggregate(Aggregate::kMean, {}); }),
            "aggregate: expected at least one task, got none");
  EXPECT_EQ(refusal([&] {
              aggregate(Aggregate::kMean, {{1}, {}});
            }),
            "aggregate: expected at least one run of each task, got none of task 1");
  EXPECT_EQ(refusal([&] {
              probability_of_improvement({{1}}, {{1}, {2}});
            }),
            "probability_of_improvement: expected equally many tasks, got 1 and 2");
  EXPECT_EQ(refusal([&] { compare(a, a, config); }), "compare: expected two methods, found 'a' twice");
  EXPECT_EQ(refusal([&] {
              leaderboard(std::vector{a, a}, config);
            }),
            "methods: expected each name once, found 'a' twice");
  MethodScores twice = a;
  twice.tasks.push_back(twice.tasks[0]);
  EXPECT_EQ(refusal([&] { estimate(twice, config); }), "'a': expected each task once, found 'task 0' twice");
  MethodScores doubled = method_of("d", {{1, 2, 3}}, true);
  doubled.tasks[0].runs[2].key = doubled.tasks[0].runs[0].key;
  EXPECT_EQ(refusal([&] { estimate(doubled, config); }),
            "'d', task 'task 0': expected one run of each training seed and stream, found two of 0/7");
  EXPECT_EQ(refusal([&] {
              compare(a, {.method = "b", .tasks = {task_of("other", {1, 2, 3})}}, config);
            }),
            "compare: expected a task with runs of both 'a' and 'b', found none");
  EXPECT_EQ(refusal([&] {
              compare(a, method_of("b", {{1, 2, 3}}), config, 1.0);
            }),
            "compare: expected a level in [0, 1), got 1");
  EXPECT_THAT(refusal([&] { estimate(a, {.aggregate = "iqn"}); }), HasSubstr("iqm"));
  EXPECT_THAT(refusal([&] { estimate(a, {.resamples = 3}); }), HasSubstr("resamples"));
}

TEST(BoardStatistics, SentencesSayHowMuchAndWhatWouldTell) {
  const Comparison told = compare(method_of("a", {{1, 2, 3}}), method_of("b", {{101, 102, 103}}), {});
  EXPECT_EQ(told.verdict, Verdict::kSecond);
  EXPECT_FALSE(told.more_runs);
  EXPECT_EQ(told.sentence(),
            "b is better than a: interquartile mean of a minus b -100.0 [-102.3, -97.7] (95 % interval, "
            "p < 0.001) on 1 task; a run of a beats one of b with probability 0.00 [0.00, 0.71].");
  Comparison open = compare(method_of("a", {{1, 2, 3}, {5, 6, 7}}), method_of("b", {{1, 2, 2.5}, {5, 6, 7}}),
                            {.aggregate = "mean"});
  EXPECT_EQ(open.verdict, Verdict::kUndecided);
  ASSERT_TRUE(open.more_runs);
  EXPECT_THAT(open.sentence(),
              testing::StartsWith("The runs do not tell a from b: mean of a minus b 0.1 [-1.2, 1.4] (95 "));
  EXPECT_THAT(open.sentence(), HasSubstr("more runs of each task of both would tell"));
  EXPECT_THAT(open.json().dump(), HasSubstr("\"verdict\":\"undecided\""));
  // Lower gaps are better.
  EXPECT_EQ(compare(method_of("a", {{1, 2, 3}}), method_of("b", {{101, 102, 103}}),
                    {.aggregate = "optimality_gap", .target = 200})
                .verdict,
            Verdict::kSecond);
  MethodScores more = method_of("a\nb", {{1, 2, 3}, {4, 5, 6}});
  const Comparison shared = compare(more, method_of("c", {{1, 2, 3}}), {});
  EXPECT_THAT(shared.left_out, ElementsAre("task 1"));
  EXPECT_THAT(shared.sentence(), HasSubstr("on the 1 task that both have; no number of further runs"));
  EXPECT_THAT(shared.sentence(), testing::Not(HasSubstr("\n")));
}

TEST(BoardStatistics, CompleteImprovementIsNotCertain) {
  // 3 wins of 3: Clopper and Pearson's bound, 0.025^(1/3).
  const Comparison c = compare(method_of("a", {{4, 5, 6}}), method_of("b", {{1, 2, 3}}), {});
  EXPECT_EQ(c.improvement.estimate.value, 1);
  EXPECT_NEAR(c.improvement.estimate.low, std::cbrt(0.025), 1e-12);
  EXPECT_EQ(c.improvement.estimate.high, 1);
  EXPECT_EQ(c.improvement.percentile.low, 1);
}

TEST(BoardStatistics, ConstantScoresAreToldApartOrEqual) {
  const Comparison apart =
      compare(method_of("a", {{1, 1, 1}, {0.1, 0.1, 0.1}}), method_of("b", {{1, 1, 1}, {0.3, 0.3, 0.3}}), {});
  EXPECT_EQ(apart.verdict, Verdict::kSecond);
  EXPECT_EQ(apart.difference.estimate.low, apart.difference.estimate.high);
  const Comparison equal = compare(method_of("a", {{1, 1, 1}}), method_of("b", {{1, 1, 1}}), {});
  EXPECT_EQ(equal.verdict, Verdict::kUndecided);
  EXPECT_FALSE(equal.more_runs);
}

TEST(BoardStatistics, RanksAreRanges) {
  Rng rng(1);
  std::vector<MethodScores> methods;
  for (const double shift : {0.0, 0.0, 10.0, 10.0, 20.0})
    methods.push_back(method_of("method " + std::to_string(methods.size()),
                                simulated_scores(kNormalRuns, 4, 6, rng, shift)));
  const Leaderboard board = leaderboard(methods, {.resamples = 2000});
  const auto places = [&](auto member) {
    std::vector<int> out;
    for (const Standing& standing : board.standings) out.push_back(standing.*member);
    return out;
  };
  EXPECT_EQ(board.standings[0].method, "method 4");
  EXPECT_THAT(places(&Standing::best_rank), ElementsAre(1, 2, 2, 4, 4));
  EXPECT_THAT(places(&Standing::worst_rank), ElementsAre(1, 3, 3, 5, 5));
  EXPECT_THAT(places(&Standing::tier), ElementsAre(1, 2, 2, 3, 3));
  EXPECT_EQ(board.pairs.size(), 10U);
  for (const PairStanding& pair : board.pairs) {
    EXPECT_GE(pair.difference.value, 0);
    EXPECT_EQ(pair.told, pair.p <= 1 - board.config.confidence);
    // The step-down tells at least what the intervals tell that hold together.
    EXPECT_TRUE(pair.told || pair.difference.low <= 0);
  }
}

TEST(BoardStatistics, OneTestIsTheComparison) {
  Rng rng(2);
  const std::vector<MethodScores> methods = {method_of("a", simulated_scores(kNormalRuns, 6, 5, rng, 0.1)),
                                             method_of("b", simulated_scores(kNormalRuns, 6, 5, rng))};
  const Comparison pair = compare(methods[0], methods[1], {});
  const Leaderboard board = leaderboard(methods, {});
  EXPECT_NEAR(board.pairs[0].p, pair.p, 0.02);
  EXPECT_NEAR(std::abs(board.pairs[0].difference.value), std::abs(pair.difference.estimate.value), 1e-12);
}

TEST(BoardStatistics, ProfilesHaveBands) {
  const std::vector<double> thresholds = {0, 2.5, 9};
  const std::vector<Estimate> band =
      profile_with_intervals(method_of("a", {{1, 2, 3, 4}, {1, 2, 3, 4}}), thresholds, {});
  ASSERT_EQ(band.size(), 3U);
  expect_equal(band[0], {1, 1, 1}, 1e-12);
  EXPECT_EQ(band[1].value, 0.5);
  // 8 draws, each above with probability 1/2: 1 and 7 leave 0.035 beyond them, 2 and 6 0.145.
  EXPECT_NEAR(band[1].low, 1.0 / 8, 1e-9);
  EXPECT_NEAR(band[1].high, 7.0 / 8, 1e-9);
  expect_equal(band[2], {0, 0, 0});
  // Unequally many runs, thresholds in any order, one that equals a score: as the values say.
  const ScoresByTask ragged = {{1, 2, 3}, {2, 2, 5, 7}};
  const std::vector<double> mixed = {2, 6, 0};
  const std::vector<Estimate> bands = profile_with_intervals(method_of("a", ragged), mixed, {});
  const std::vector<double> values = performance_profile(ragged, mixed);
  ThreadPool pool(2);
  const std::vector<Estimate> again = profile_with_intervals(method_of("a", ragged), mixed, {}, &pool);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    EXPECT_EQ(bands[i].value, values[i]);
    EXPECT_LE(bands[i].low, values[i] + 1e-12);
    EXPECT_GE(bands[i].high, values[i] - 1e-12);
    expect_equal(bands[i], again[i]);
  }
  EXPECT_NEAR(bands[2].low, 1, 1e-12);
  EXPECT_GT(bands[0].low, 0);  // of the second task all but two of its draws would have to be low
  EXPECT_NEAR(bands[1].high, 0.5 * 0.75, 1e-12);  // only 7 is above 6: 3 of 4 draws at the upper quantile
}

// A twin of the table in docs/board-statistics.md, in fewer repetitions.
TEST(BoardStatistics, IntervalsCover) {
  for (const RunKind kind : {kNormalRuns, kSkewedRuns, kSuccessRates})
    for (const std::size_t tasks : {1, 6, 20})
      for (const std::size_t runs : {3, 5, 10, 20}) {
        const Coverage covered = coverage_of(kind, tasks, runs, 400, 300);
        // Two standard errors of 400 repetitions about the bounds of the full table.
        EXPECT_GE(covered.shown, 0.93 - 0.026)
            << name_of(kind) << ", " << tasks << " tasks, " << runs << " runs";
        EXPECT_LE(covered.shown, 0.99 + 0.01)
            << name_of(kind) << ", " << tasks << " tasks, " << runs << " runs";
        if (runs == 3) {
          EXPECT_LT(covered.percentile, 0.92) << name_of(kind) << ", " << tasks << " tasks";
        }
      }
}

TEST(BoardStatistics, EqualMethodsAreRarelyToldApart) {
  constexpr int kRepetitions = 300;
  const double error = 2 * std::sqrt(0.06 * 0.94 / kRepetitions);  // two standard errors
  for (const bool keyed : {false, true})  // where the bootstrap alone errs: 0.09 and 0.17
    for (const std::size_t runs : {3, 5})
      EXPECT_LE(family_error(kNormalRuns, 20, 1, runs, kRepetitions, 500, keyed), 0.06 + error)
          << runs << " runs, " << (keyed ? "shared" : "own") << " seeds";
  EXPECT_LE(family_error(kNormalRuns, 20, 6, 5, kRepetitions / 2, 500, false), 0.06 + 1.5 * error);
}

TEST(BoardStatistics, StepDownTellsMoreThanOneStep) {
  Rng rng(5);
  int steps = 0, single = 0;
  for (int repetition = 0; repetition < 30; ++repetition) {
    std::vector<MethodScores> methods;
    for (int m = 0; m < 8; ++m)
      methods.push_back(method_of("method " + std::to_string(m),
                                  simulated_scores(kNormalRuns, 4, 5, rng, m < 4 ? 0 : 0.12)));
    for (const PairStanding& pair : leaderboard(methods, {.resamples = 500}).pairs) {
      steps += pair.told;
      single += pair.difference.low > 0;
      EXPECT_GE(int(pair.told), int(pair.difference.low > 0));
    }
  }
  EXPECT_GT(steps, single);
}

TEST(BoardStatistics, AnnouncedRunsTell) {
  // With the true difference and spread as observed: runs that are added tell with about the power asked for.
  const double sigma = 0.1, shift = 0.06;
  const std::vector<double> a = {-sigma, 0, 0, 0, sigma}, b = a;  // s = sigma / sqrt(2)
  std::vector<double> raised = a;
  for (double& score : raised) score += shift;
  const Comparison open = compare(method_of("a", {raised}), method_of("b", {b}), {.aggregate = "mean"});
  ASSERT_EQ(open.verdict, Verdict::kUndecided);
  ASSERT_TRUE(open.more_runs);
  const std::size_t runs = 5 + std::size_t(*open.more_runs);
  Rng rng(8);
  int told = 0;
  constexpr int kRepetitions = 600;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    std::vector<double> x(runs), y(runs);
    for (double& score : x) score = shift + sigma / std::sqrt(2.0) * rng.normal();
    for (double& score : y) score = sigma / std::sqrt(2.0) * rng.normal();
    told +=
        compare(method_of("a", {x}), method_of("b", {y}), {.aggregate = "mean", .resamples = 100}).verdict ==
        Verdict::kFirst;
  }
  EXPECT_NEAR(double(told) / kRepetitions, 0.8, 0.06);
}

TEST(BoardStatistics, SpendingIsLanAndDeMets) {
  for (const Spending rule : {Spending::kOBrienFleming, Spending::kPocock}) {
    double before = 0;
    for (int step = 0; step <= 10; ++step) {
      const double spent = alpha_spent(rule, step / 10.0);
      EXPECT_GE(spent, before);
      before = spent;
    }
    EXPECT_EQ(alpha_spent(rule, 0), 0);
    EXPECT_EQ(alpha_spent(rule, 1), 0.05);
    EXPECT_NEAR(alpha_spent(rule, 1 - 1e-12), 0.05, 1e-10);
  }
  // 2 - 2 Phi(1.959964 sqrt(2)) = erfc(1.959964).
  EXPECT_NEAR(alpha_spent(Spending::kOBrienFleming, 0.5), std::erfc(1.959963984540054), 1e-12);
  EXPECT_NEAR(alpha_spent(Spending::kPocock, 0.5), 0.05 * std::log(1 + (std::exp(1) - 1) / 2), 1e-15);
  EXPECT_NEAR(look_level(Spending::kPocock, 0.7, alpha_spent(Spending::kPocock, 0.3)),
              alpha_spent(Spending::kPocock, 0.7) - alpha_spent(Spending::kPocock, 0.3), 1e-15);
  EXPECT_EQ(look_level(Spending::kPocock, 0.3, 0.04), 0);
  EXPECT_THAT(refusal([] { alpha_spent(Spending::kPocock, 1.5); }), HasSubstr("share in [0, 1], got 1.5"));
  EXPECT_THAT(refusal([] { look_level(Spending::kPocock, 0.5, -1); }), HasSubstr("what was spent"));
}

TEST(BoardStatistics, AnEmptyLookDecidesNothing) {
  const Comparison c = compare(method_of("a", {{1, 2, 3}}), method_of("b", {{101, 102, 103}}), {}, 0.0);
  EXPECT_EQ(c.verdict, Verdict::kUndecided);
  EXPECT_THAT(c.sentence(), HasSubstr("no error to spend"));
}

/// Share of equal pairs that any of five looks tells apart, each look at twice as many ... five times as many
/// runs as the first.
double told_by_looking(const std::function<double(int look, double spent)>& level) {
  Rng rng(11);
  constexpr int kRepetitions = 500, kLooks = 5;
  int told = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    std::vector<double> a, b;
    double spent = 0;
    bool any = false;
    for (int look = 1; look <= kLooks; ++look) {
      for (int run = 0; run < 8; ++run) {
        a.push_back(rng.normal());
        b.push_back(rng.normal());
      }
      const double own = level(look, spent);
      spent += own;
      any = any ||
            compare(method_of("a", {a}), method_of("b", {b}), {.aggregate = "mean", .resamples = 100}, own)
                    .verdict != Verdict::kUndecided;
    }
    told += any;
  }
  return double(told) / kRepetitions;
}

TEST(BoardStatistics, LooksShareOneError) {
  const double error = 2 * std::sqrt(0.05 * 0.95 / 500);  // two standard errors
  for (const Spending rule : {Spending::kOBrienFleming, Spending::kPocock})
    EXPECT_LE(told_by_looking([&](int look, double spent) { return look_level(rule, look / 5.0, spent); }),
              0.05 + error);
  EXPECT_GT(told_by_looking([](int, double) { return 0.05; }), 0.05 + 2 * error);
}

}  // namespace
}  // namespace diffreward
