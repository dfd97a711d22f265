#include "envs/linear_quadratic/linear_quadratic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "envs/catalog.h"
#include "envs/vector_env.h"

namespace diffreward {
namespace {

/// Mean return of f = -factor K x over whole episodes.
double mean_return(double factor) {
  constexpr int kCount = 256;
  const auto gain = LinearQuadratic::optimal_gain({});
  const auto envs = make_vector("LinearQuadratic-v0", {.count = kCount, .autoreset = "disabled"});
  const StepView* view = &envs->reset(3);
  std::vector<double> actions(2 * kCount);
  double sum = 0;
  for (int t = 0; t < LinearQuadratic::kSteps; ++t) {
    for (std::size_t i = 0; i < kCount; ++i)
      for (std::size_t axis = 0; axis < 2; ++axis) {
        actions[2 * i + axis] = 0;
        for (std::size_t j = 0; j < 4; ++j)
          actions[2 * i + axis] -= factor * gain[axis][j] / LinearQuadratic::kForce * view->obs[4 * i + j];
      }
    view = &envs->step(actions);
    for (const double reward : view->reward) sum += reward / kCount;
  }
  return sum;
}

TEST(LinearQuadratic, IsBestDrivenByTheRiccatiGain) {
  const double best = mean_return(1);
  EXPECT_GT(best, mean_return(0.8));
  EXPECT_GT(best, mean_return(1.25));
  EXPECT_GT(best, mean_return(0) + 100);
}

TEST(LinearQuadratic, MovesAsItsEquationsSay) {
  const auto env = make_env("LinearQuadratic-v0", {{"velocity_cost", 0.5}, {"action_cost", 0.25}});
  std::vector<double> state(env->spec().state_size), obs(4), info(2);
  env->reset(Seed(1), {}, obs);
  env->state(state);
  std::copy_n(std::array{1.0, -1.0, 0.5, 0.0}.begin(), 4, state.begin());
  env->set_state(state, obs);
  const StepResult result = env->step(std::array{0.5, -3.0}, obs);  // the second action is cut off at -1
  EXPECT_NEAR(obs[2], 0.6, 1e-12);
  EXPECT_NEAR(obs[3], -0.2, 1e-12);
  EXPECT_NEAR(obs[0], 1.06, 1e-12);
  EXPECT_NEAR(obs[1], -1.02, 1e-12);
  EXPECT_NEAR(result.reward, -(1.06 * 1.06 + 1.02 * 1.02 + 0.5 * (0.36 + 0.04) + 0.25 * (1 + 4)), 1e-12);
  env->info(info);
  EXPECT_NEAR(info[0], std::hypot(1.06, 1.02), 1e-12);
  EXPECT_EQ(info[1], 0);
}

}  // namespace
}  // namespace diffreward
