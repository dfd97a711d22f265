#include "cli/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"

namespace diffreward::cli {
namespace {

TEST(RatioOfMeans, HasNoIntervalWhereTheDivisorMayBeZero) {
  const Estimate bounded = ratio_of_means({4, 5, 6}, {2, 2.5, 3});
  EXPECT_DOUBLE_EQ(bounded.value, 2);
  EXPECT_NEAR(bounded.low, 2, 1e-12) << "a is twice b in every run";
  const Estimate unbounded = ratio_of_means({0.5, 0.6, 0.4}, {0, 0, 0.002});
  EXPECT_NEAR(unbounded.value, 750, 1e-9);
  EXPECT_TRUE(std::isinf(unbounded.low) && std::isinf(unbounded.high));
  EXPECT_FALSE(std::isfinite(ratio_of_means({0.5, 0.6}, {0, 0}).value)) << "no figure, and no error";
}

/// 95 % of such intervals hold the ratio of the true means, 3 / 2.
TEST(RatioOfMeans, CoversWhatItSays) {
  Rng rng(Seed(5));
  int held = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> a, b;
    for (int run = 0; run < 5; ++run)
      a.push_back(3 + 0.3 * rng.normal()), b.push_back(2 + 0.2 * rng.normal());
    const Estimate e = ratio_of_means(a, b);
    held += e.low <= 1.5 && 1.5 <= e.high;
  }
  EXPECT_GT(held, 0.93 * kTrials);
  EXPECT_LT(held, 0.99 * kTrials);
}

}  // namespace
}  // namespace diffreward::cli
