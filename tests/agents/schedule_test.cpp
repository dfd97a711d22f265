#include "agents/diffusion/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace diffreward {
namespace {

TEST(NoiseSchedule, CosineFollowsItsClosedFormUntilTheLastClippedStep) {
  const NoiseSchedule schedule("cosine", 100);
  const auto f = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2), 2); };
  for (int t = 0; t < 99; ++t)
    EXPECT_NEAR(schedule.alpha_bar[static_cast<std::size_t>(t)], f((t + 1) / 100.0) / f(0), 1e-12) << t;
  EXPECT_EQ(schedule.beta.back(), 0.999);
}

TEST(NoiseSchedule, LinearIsHosForAThousandSteps) {
  const NoiseSchedule schedule("linear", 1000);
  EXPECT_NEAR(schedule.beta.front(), 1e-4, 1e-15);
  EXPECT_NEAR(schedule.beta.back(), 0.02, 1e-15);
  EXPECT_NEAR(schedule.alpha_bar.back(), 4.0358e-5, 1e-8);  // Ho et al. 2020: x_T is all but pure noise
}

TEST(NoiseSchedule, FewLinearStepsStillEndInNoise) {
  const NoiseSchedule schedule("linear", 20);
  EXPECT_LT(schedule.alpha_bar.back(), 1e-4);
  for (const double beta : schedule.beta) EXPECT_LE(beta, 0.999);
}

// q(x_{t-1} | x_t, x_0) follows from Bayes' rule on two Gaussians: precision adds up, and means are weighted
// by it.
TEST(NoiseSchedule, PosteriorIsBayesRule) {
  for (const char* kind : {"cosine", "linear"}) {
    const NoiseSchedule s(kind, 50);
    for (std::size_t t = 1; t < 50; ++t) {
      const double alpha = 1 - s.beta[t], before = s.alpha_bar[t - 1];
      const double precision = alpha / s.beta[t] + 1 / (1 - before);
      EXPECT_NEAR(s.posterior_variance[t], 1 / precision, 1e-12);
      EXPECT_NEAR(s.posterior_xt[t], std::sqrt(alpha) / s.beta[t] / precision, 1e-9);
      EXPECT_NEAR(s.posterior_x0[t], std::sqrt(before) / (1 - before) / precision, 1e-9);
    }
    EXPECT_EQ(s.posterior_variance[0], 0);
    EXPECT_NEAR(s.posterior_x0[0], 1, 1e-12);
    EXPECT_EQ(s.posterior_xt[0], 0);
  }
}

TEST(NoiseSchedule, RefusesOtherKindsAndSizes) {
  EXPECT_THROW(NoiseSchedule("sigmoid", 10), InvalidArgument);
  EXPECT_THROW(NoiseSchedule("cosine", 1), InvalidArgument);
}

TEST(NoiseSchedule, OfGivenBetasFollowsTheirClosedForms) {
  const NoiseSchedule linear("linear", 20), given(linear.beta);
  EXPECT_EQ(given.kind, "given");
  EXPECT_EQ(given.alpha_bar, linear.alpha_bar);
  EXPECT_EQ(given.posterior_variance, linear.posterior_variance);
  EXPECT_EQ(NoiseSchedule::from_json(given.json()), given);
  EXPECT_EQ(NoiseSchedule::from_json(linear.json()), linear);
  EXPECT_FALSE(given == linear);
  EXPECT_FALSE(given == NoiseSchedule(std::vector<double>(20, 0.1)));
  EXPECT_THROW(NoiseSchedule(std::vector<double>{0.1, 1}), InvalidArgument);
  EXPECT_THROW(NoiseSchedule(std::vector<double>{0.1}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
