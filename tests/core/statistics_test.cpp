#include "core/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/rng.h"

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
