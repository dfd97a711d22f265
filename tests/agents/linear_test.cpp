#include "agents/scripted/linear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agents/agent.h"
#include "agents/catalog.h"
#include "envs/linear_quadratic/linear_quadratic.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Streams kNoise(Purpose::kController, 0);

TEST(Linear, ActsByItsLawWithinTheBox) {
  const auto env = make_vector("LinearQuadratic-v0", {.count = 2});
  const auto agent =
      make_agent(LinearConfig{.gain = {1, 0, 0.5, 0, 0, 1, 0, 0}, .bias = {0.25, 0}}, *env, kNoise);
  std::vector<double> actions(4);
  agent->act({.obs = std::array{1.0, 2.0, 3.0, 4.0, 0.0, -9.0, 0.0, 0.0}}, actions);
  EXPECT_THAT(actions, ElementsAre(-1, -1, 0.25, 1)) << "0.25 - 1 - 1.5, -2 and 9 are cut off";
}

/// The whole way of an agent: by its name, from the catalog, judged in an environment.
TEST(Linear, ReachesTheGoalByTheOptimalGain) {
  const auto env = make_vector("LinearQuadratic-v0", {.count = 32, .autoreset = "same_step"});
  ScriptedAgents agents;
  for (const auto& row : LinearQuadratic::optimal_gain({}))
    for (const double gain : row) agents.linear.gain.push_back(gain / LinearQuadratic::kForce);
  const auto agent = make_agent("linear", agents, *env, kNoise);
  double reached = 0;
  for (const EpisodeOutcome& outcome : evaluate_agent(*env, *agent, 64, 0))
    reached += outcome.last_info[1] / 64;
  EXPECT_EQ(reached, 1);
}

TEST(Linear, RefusesOtherSizes) {
  const auto env = make_vector("LinearQuadratic-v0", {});
  EXPECT_THAT(message_of<InvalidArgument>([&] { make_agent(LinearConfig{.gain = {1}}, *env, kNoise); }),
              HasSubstr("gain: expected 2 times 4 numbers for LinearQuadratic-v0, got 1"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { make_agent(LinearConfig{.bias = {1}}, *env, kNoise); }),
              HasSubstr("bias: expected 2 numbers"));
}

}  // namespace
}  // namespace diffreward
