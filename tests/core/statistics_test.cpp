#include "core/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>

#include "core/rng.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

const std::vector<double> kX = {3.1, -0.4, 2.2, 2.2, 7.5, -1.9, 0.0, 4.4, 2.2, 5.3};
const std::vector<double> kY = {1.0, 0.5, 1.5, -2.0, 9.0, -3.5, 0.5, 2.5, 4.0, 0.5};
const std::vector<double> kZ = {0.3, 1.1, -0.7, 2.0, 1.4, 0.3, -1.2, 0.9, 2.2, 0.0};

// Numbers of NumPy 2.4 and SciPy 1.17, each from the call in its comment.
TEST(Statistics, LocationAgreesWithNumPyAndSciPy) {
  EXPECT_NEAR(mean(kX), 2.46, 1e-12);
  EXPECT_NEAR(standard_deviation(kX), 2.8103775942428486, 1e-12);  // numpy.std(x, ddof=1)
  const double q[] = {0.1, 0.25, 0.5, 0.9}, expected[] = {-0.55, 0.55, 2.2, 5.52};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(quantile(kX, q[i]), expected[i], 1e-12);  // numpy.quantile(x, q)
  EXPECT_NEAR(median(kX), 2.2, 1e-12);
  EXPECT_NEAR(interquartile_mean(kX), 2.35, 1e-12);  // scipy.stats.trim_mean(x, 0.25)
}

TEST(Statistics, CorrelationsAgreeWithSciPy) {
  EXPECT_NEAR(pearson(kX, kY), 0.7442429890773002, 1e-12);   // scipy.stats.pearsonr(x, y)
  EXPECT_NEAR(spearman(kX, kY), 0.6273291925465838, 1e-12);  // scipy.stats.spearmanr(x, y)
  // P = inv(corrcoef of rankdata(x, y, z)); -P[0, 1] / sqrt(P[0, 0] P[1, 1])
  EXPECT_NEAR(partial_spearman(kX, kY, kZ), 0.6211487308941793, 1e-12);
  EXPECT_EQ(ranks(kX), (std::vector<double>{7, 2, 5, 5, 10, 1, 3, 8, 5, 9}));  // scipy.stats.rankdata(x)
  EXPECT_NEAR(auroc(kX, kY), 0.62, 1e-12);  // scipy.stats.mannwhitneyu(x, y).statistic / 100
}

TEST(Statistics, CorrelationsHaveTheirClosedForms) {
  std::vector<double> line, cube, constant(5, 3.0);
  for (int i = -2; i <= 2; ++i) {
    line.push_back(i);
    cube.push_back(-double(i) * i * i);
  }
  EXPECT_DOUBLE_EQ(spearman(line, cube), -1);  // any decreasing map
  EXPECT_GT(pearson(line, cube), -0.99);
  EXPECT_EQ(pearson(line, constant), 0);
  EXPECT_EQ(partial_spearman(line, cube, line), 0);  // nothing is left once x itself is held fixed
}

TEST(Statistics, AurocCountsPairs) {
  EXPECT_DOUBLE_EQ(auroc(std::vector<double>{2, 3}, std::vector<double>{0, 1}), 1);
  EXPECT_DOUBLE_EQ(auroc(std::vector<double>{0, 1}, std::vector<double>{2, 3}), 0);
  EXPECT_DOUBLE_EQ(auroc(std::vector<double>{1, 1}, std::vector<double>{1, 1, 1}), 0.5);
  // Pairs won: 3 over {0, 1, 2}, 1 over 0 and half of its tie with 1: (3 + 1.5) / 6.
  EXPECT_DOUBLE_EQ(auroc(std::vector<double>{3, 1}, std::vector<double>{0, 1, 2}), 0.75);
}

TEST(Statistics, WinsorisingMovesTheTailsOnly) {
  std::vector<double> values(201);
  std::iota(values.begin(), values.end(), 0.0);
  values[200] = 1e9;
  const std::vector<double> out = winsorise(values, 0.005);  // the quantiles are the values 1 and 199
  EXPECT_EQ(out[0], 1);
  EXPECT_EQ(out[200], 199);
  EXPECT_EQ(out[100], 100);
  EXPECT_EQ(min_max(out)[100], 0.5);
  EXPECT_EQ(min_max(std::vector<double>{4, 4}), (std::vector<double>{0, 0}));
}

TEST(Statistics, HistogramSharesSumToOne) {
  const Histogram h = histogram(std::vector<double>{-5, 0, 0.5, 1.5, 2, 9}, 0, 2, 2);
  ASSERT_EQ(h.share.size(), 2u);
  EXPECT_NEAR(h.share[0], 0.5, 1e-12);  // below the range counts in the first bin
  EXPECT_NEAR(h.share[1], 0.5, 1e-12);
  EXPECT_EQ(h.edge(1), 1);
}

TEST(Statistics, BootstrapOfAMeanAgreesWithSciPy) {
  // scipy.stats.bootstrap((x,), numpy.mean, n_resamples=200000, method="percentile"): 0.84, 4.13
  const Estimate e = bootstrap(kX, [](std::span<const double> v) { return mean(v); }, {.resamples = 20000});
  EXPECT_NEAR(e.value, 2.46, 1e-12);
  EXPECT_NEAR(e.low, 0.84, 0.06);
  EXPECT_NEAR(e.high, 4.13, 0.06);
  const Estimate by_counts = bootstrap_mean({kX, {}}, {.resamples = 20000});
  EXPECT_NEAR(by_counts.value, 2.46, 1e-12);
  EXPECT_NEAR(by_counts.low, 0.84, 0.06);
  EXPECT_NEAR(by_counts.high, 4.13, 0.06);
}

TEST(Statistics, EqualSeedsGiveEqualIntervals) {
  const Sample sample{kX, {}};
  EXPECT_EQ(bootstrap_mean(sample, {.seed = 3}).low, bootstrap_mean(sample, {.seed = 3}).low);
  EXPECT_NE(bootstrap_mean(sample, {.seed = 3}).low, bootstrap_mean(sample, {.seed = 4}).low);
}

// 40 clusters of 25 equal values are 40 values, not 1000: the interval must be five times wider.
TEST(Statistics, ClustersWidenIntervals) {
  Rng rng(1);
  Sample clustered, flat;
  std::vector<double> centres;
  for (std::size_t cluster = 0; cluster < 40; ++cluster) {
    centres.push_back(rng.normal());
    for (int i = 0; i < 25; ++i) {
      clustered.values.push_back(centres.back());
      clustered.clusters.push_back(7 * cluster);
    }
  }
  flat.values = clustered.values;
  const BootstrapConfig config{.resamples = 4000};
  const Estimate wide = bootstrap_mean(clustered, config), narrow = bootstrap_mean(flat, config);
  EXPECT_NEAR((wide.high - wide.low) / (narrow.high - narrow.low), 5, 0.35);
  EXPECT_NEAR(wide.high - wide.low, 2 * 1.96 * standard_deviation(centres) / std::sqrt(40), 0.06);
}

TEST(Statistics, DifferencesOfMeansHaveTheNormalInterval) {
  Rng rng(2);
  Sample a, b;
  for (int i = 0; i < 400; ++i) {
    a.values.push_back(1 + rng.normal());
    b.values.push_back(2 * rng.normal());
  }
  const Estimate e = bootstrap_difference(a, b, {.resamples = 4000});
  EXPECT_NEAR(e.value, mean(a.values) - mean(b.values), 1e-12);
  const double error = std::hypot(standard_deviation(a.values), standard_deviation(b.values)) / 20;
  EXPECT_NEAR(e.high - e.low, 2 * 1.96 * error, 0.05 * 2 * 1.96 * error);
}

TEST(Statistics, BootstrappedAurocIsTheAurocAndCovers) {
  Rng rng(5);
  int covered = 0;
  for (int round = 0; round < 60; ++round) {
    Sample positive, negative;
    for (int i = 0; i < 60; ++i) {
      positive.values.push_back(1 + rng.normal());
      negative.values.push_back(rng.normal());
    }
    const Estimate e = bootstrap_auroc(positive, negative, {.resamples = 300, .seed = std::uint64_t(round)});
    ASSERT_DOUBLE_EQ(e.value, auroc(positive.values, negative.values));
    covered += e.low <= 0.7602 && 0.7602 <= e.high;  // Phi(1 / sqrt 2)
  }
  EXPECT_GE(covered, 51);  // 57 expected at 95 %; fewer than 51 has probability 0.3 %
}

TEST(Statistics, StudentQuantilesAgreeWithTablesAndSciPy) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // The 97.5 % column of the printed tables, to their digits.
  const double table[][2] = {{1, 12.706205}, {2, 4.302653},  {4, 2.776445},
                             {9, 2.262157},  {19, 2.093024}, {kInfinity, 1.959964}};
  for (const auto& [degrees, t] : table) EXPECT_NEAR(student_t_quantile(0.975, degrees), t, 6e-7) << degrees;
  // scipy.stats.t.ppf(p, degrees)
  const double expected[][3] = {{0.975, 2.5, 3.5746548420036817}, {0.9, 0.7, 5.009947959646406},
                                {0.6, 3, 0.2766706623326898},     {0.50001, 5, 2.6343055244939535e-05},
                                {1e-9, 3, -1033.1096745038078},   {0.025, 9, -2.2621571627982053},
                                {0.975, 1e4, 1.960201239890626},  {0.975, 5e5, 1.9599687290938044},
                                {0.975, 1e6, 1.959966356814107},  {0.9999, 2, 70.70007106497818}};
  for (const auto& [p, degrees, t] : expected)
    EXPECT_NEAR(student_t_quantile(p, degrees), t, 1e-9 * std::abs(t)) << p << " " << degrees;
  // Closed forms for one degree of freedom (Cauchy) and two.
  for (const double p : {0.001, 0.2, 0.5, 0.7, 0.999}) {
    EXPECT_NEAR(student_t_quantile(p, 1), std::tan(std::numbers::pi * (p - 0.5)), 1e-10);
    EXPECT_NEAR(student_t_quantile(p, 2), (2 * p - 1) / std::sqrt(2 * p * (1 - p)), 1e-10);
  }
}

TEST(Statistics, MeansOfRunsHaveStudentsInterval) {
  const Estimate e = mean_of_runs(std::vector<double>{1, 2, 6});  // mean 3, s = sqrt(7)
  EXPECT_DOUBLE_EQ(e.value, 3);
  EXPECT_NEAR(e.low, 3 - 4.302652729749462 * std::sqrt(7.0 / 3), 1e-12);
  EXPECT_NEAR(e.high, 3 + 4.302652729749462 * std::sqrt(7.0 / 3), 1e-12);
  EXPECT_NEAR(mean_of_runs(std::vector<double>{-1, 1}, 0.5).high, 1, 1e-12);  // t_{0.75, 1} = 1
  const Estimate one = mean_of_runs(std::vector<double>{4});
  EXPECT_EQ(one.value, 4);
  EXPECT_EQ(one.low, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(one.high, std::numeric_limits<double>::infinity());
}

using Runs = std::vector<std::vector<double>>;  // [tasks][runs]

double mean_of_tasks(std::span<const std::vector<double>> runs) {
  double sum = 0;
  for (const std::vector<double>& task : runs) sum += mean(task);
  return sum / double(runs.size());
}

double pooled_interquartile_mean(std::span<const std::vector<double>> runs) {
  std::vector<double> all;
  for (const std::vector<double>& task : runs) all.insert(all.end(), task.begin(), task.end());
  return interquartile_mean(all);
}

TEST(Statistics, ExpandedBootstrapOfMeansIsStudentsOrWelchs) {
  const auto expect_half = [](const Runs& runs, double half) {
    const Estimate e = expanded_bootstrap(runs, mean_of_tasks, {.resamples = 40000});
    EXPECT_DOUBLE_EQ(e.value, mean_of_tasks(runs));
    EXPECT_NEAR(e.high - e.value, half, 0.02 * half);
    EXPECT_NEAR(e.value - e.low, half, 0.02 * half);
  };
  expect_half({{1, 2, 6}}, 4.302652729749462 * std::sqrt(7.0 / 3));
  // s^2 / n of 3 and of 4 runs, a quarter of each in the variance of the mean of two tasks.
  const double a = 7.0 / 3 / 4, b = 125.0 / 3 / 4 / 4, degrees = (a + b) * (a + b) / (a * a / 2 + b * b / 3);
  expect_half({{1, 2, 6}, {5, 10, 15, 20}}, student_t_quantile(0.975, degrees) * std::sqrt(a + b));
  // A task without variance adds no degrees of freedom.
  expect_half({{1, 2, 6}, {5, 5, 5, 5, 5, 5}}, 4.302652729749462 * std::sqrt(7.0 / 3) / 2);
  expect_half({{1, 1}, {2, 2}}, 0);
  const Runs runs = {{1, 2, 6}, {0, 3}};
  EXPECT_EQ(expanded_bootstrap(runs, mean_of_tasks, {.seed = 3}).low,
            expanded_bootstrap(runs, mean_of_tasks, {.seed = 3}).low);
}

/// Of independent runs: the normal, and the log-normal of sigma 1/4 (skewness 0.78), moved to mean 0.
struct RunDistribution {
  const char* name;
  std::function<double(Rng&)> draw;
};
const RunDistribution kRunDistributions[] = {
    {"normal", [](Rng& rng) { return rng.normal(); }},
    {"skewed", [](Rng& rng) { return std::exp(rng.normal() / 4) - std::exp(1.0 / 32); }}};

/// Share of intervals that hold `truth`.
template <class Interval>  // Estimate(const Runs&, std::uint64_t seed)
double coverage(const RunDistribution& distribution, const std::vector<double>& scales, int n, double truth,
                int repetitions, const Interval& interval) {
  Rng rng(17);
  Runs runs(scales.size(), std::vector<double>(std::size_t(n)));
  int covered = 0;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (std::size_t task = 0; task < scales.size(); ++task)
      for (double& run : runs[task]) run = scales[task] * distribution.draw(rng);
    const Estimate e = interval(runs, std::uint64_t(repetition));
    covered += e.low <= truth && truth <= e.high;
  }
  return double(covered) / repetitions;
}

constexpr double kLeast = 0.93, kMost = 0.99;  // coverage of an interval that says 0.95

TEST(Statistics, MeansOfRunsCover) {
  for (const RunDistribution& distribution : kRunDistributions)
    for (const int n : {3, 5, 10, 20}) {
      const double share = coverage(distribution, {1}, n, 0, 8000,
                                    [](const Runs& runs, std::uint64_t) { return mean_of_runs(runs[0]); });
      EXPECT_TRUE(share >= kLeast && share <= kMost) << distribution.name << " " << n << ": " << share;
    }
}

TEST(Statistics, ExpandedBootstrapCovers) {
  for (const RunDistribution& distribution : kRunDistributions)
    for (const int n : {3, 5, 10, 20})
      for (const std::vector<double>& scales : {std::vector<double>{1}, {1, 0.2}}) {
        const double share =
            coverage(distribution, scales, n, 0, 2000, [](const Runs& runs, std::uint64_t seed) {
              return expanded_bootstrap(runs, mean_of_tasks, {.resamples = 300, .seed = seed});
            });
        EXPECT_TRUE(share >= kLeast && share <= kMost)
            << distribution.name << " " << n << " runs of " << scales.size() << " tasks: " << share;
      }
}

TEST(Statistics, ExpandedBootstrapOfInterquartileMeansCovers) {
  for (const RunDistribution& distribution : kRunDistributions)
    for (const int n : {3, 5, 10, 20}) {
      const std::vector<double> scales = {1, 1, 0.5};
      // What the statistic estimates from n runs: its mean over repetitions.
      double truth = 0;
      coverage(distribution, scales, n, 0, 20000, [&](const Runs& runs, std::uint64_t) {
        truth += pooled_interquartile_mean(runs) / 20000;
        return Estimate{};
      });
      const double share =
          coverage(distribution, scales, n, truth, 1200, [](const Runs& runs, std::uint64_t seed) {
            return expanded_bootstrap(runs, pooled_interquartile_mean, {.resamples = 300, .seed = seed});
          });
      EXPECT_TRUE(share >= kLeast && share <= kMost) << distribution.name << " " << n << ": " << share;
    }
}

// The bounds above tell intervals apart: three runs' percentiles miss them, at any number of resamples.
TEST(Statistics, PercentilesOfThreeRunsDoNotCover) {
  for (const RunDistribution& distribution : kRunDistributions) {
    const double share = coverage(distribution, {1}, 3, 0, 2000, [](const Runs& runs, std::uint64_t seed) {
      return bootstrap_mean({runs[0], {}}, {.resamples = 1000, .seed = seed});
    });
    EXPECT_LT(share, 0.8) << distribution.name;
    EXPECT_GT(share, 0.7) << distribution.name;
  }
}

TEST(Statistics, BadRunsAreNamed) {
  EXPECT_EQ(message_of<InvalidArgument>([] { mean_of_runs({}); }),
            "mean_of_runs: expected at least 1 values, got 0");
  EXPECT_EQ(message_of<InvalidArgument>([] {
              mean_of_runs(std::vector<double>{1, 2}, 1);
            }),
            "mean_of_runs: expected a confidence in (0, 1), got 1");
  EXPECT_EQ(message_of<InvalidArgument>([] {
              mean_of_runs(std::vector<double>{1, std::nan("")});
            }),
            "mean_of_runs: expected finite values, got nan at 1");
  EXPECT_EQ(message_of<InvalidArgument>([] { student_t_quantile(1, 3); }),
            "student_t_quantile: expected p in (0, 1), got 1");
  EXPECT_EQ(message_of<InvalidArgument>([] { student_t_quantile(0.5, 0); }),
            "student_t_quantile: expected degrees > 0, got 0");
  const auto of = [](const Runs& runs) {
    return message_of<InvalidArgument>([&] { expanded_bootstrap(runs, mean_of_tasks, {}); });
  };
  EXPECT_EQ(of({}), "expanded_bootstrap: expected at least one task, got none");
  EXPECT_EQ(of({{1, 2}, {3}}), "expanded_bootstrap: expected at least 2 runs of each task, got 1 of task 1");
  EXPECT_EQ(of({{1, std::nan("")}}), "expanded_bootstrap: expected finite values, got nan at 1");
  EXPECT_EQ(message_of<InvalidArgument>([] {
              expanded_bootstrap({{1, 2}}, [](auto) { return std::nan(""); }, {});
            }),
            "expanded_bootstrap: expected a finite statistic, got nan");
}

TEST(Statistics, BadSamplesAreNamed) {
  EXPECT_THROW(mean({}), InvalidArgument);
  EXPECT_THROW(median(std::vector<double>{1, std::nan("")}), InvalidArgument);
  EXPECT_THROW(pearson(kX, std::vector<double>{1, 2}), InvalidArgument);
  EXPECT_THROW(quantile(kX, 1.5), InvalidArgument);
  EXPECT_THROW(bootstrap_mean({kX, {1, 2}}, {}), InvalidArgument);
  EXPECT_THROW(bootstrap_mean({kX, {}}, {.resamples = 1}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
