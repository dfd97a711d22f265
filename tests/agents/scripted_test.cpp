// What all scripted agents have in common: whose random numbers they draw, and by what name they are made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agents/catalog.h"
#include "core/safetensors.h"
#include "tests/agents/toy_env.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

const Streams kNoise(Purpose::kController, 4);

ScriptedAgents noisy() {
  ScriptedAgents agents;
  agents.linear.action_noise = 0.3;
  agents.random.hold = 3;
  return agents;
}

class Scripted : public ::testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<VectorEnv> maze(int count) {
    return make_vector("Maze2D-UMaze-v0", {.count = count, .autoreset = "disabled"});
  }
  /// Actions of the last instance over some steps, of which those marked begin an episode.
  static std::vector<double> actions_of(int count, const std::vector<std::uint64_t>& numbers, int steps) {
    const auto env = maze(count);
    const auto agent = make_agent(GetParam(), noisy(), *env, kNoise);
    if (!numbers.empty()) agent->number_episodes(numbers);
    const std::vector<Seed> seeds(std::size_t(count), Seed(9));
    std::vector<double> actions(2 * std::size_t(count)), out;
    const StepView* view = &env->reset({}, seeds, {});
    for (int t = 0; t < steps; ++t) {
      agent->act(*view, actions);
      out.insert(out.end(), actions.end() - 2, actions.end());
      view = &env->step(actions);
    }
    return out;
  }
};

TEST_P(Scripted, EpisodesOfANumberAreEqualOnAnyInstance) {
  EXPECT_EQ(actions_of(1, {7}, 12), actions_of(3, {5, 6, 7}, 12));
  EXPECT_NE(actions_of(1, {7}, 12), actions_of(1, {8}, 12));
}

TEST_P(Scripted, AnInstancesNumbersDependOnNoOther) {
  const auto env = maze(2), calm = maze(2);
  const auto agent = make_agent(GetParam(), noisy(), *env, kNoise),
             other = make_agent(GetParam(), noisy(), *calm, kNoise);
  const std::vector<Seed> seeds(2, Seed(9));
  std::vector<double> a(4), b(4);
  const StepView *view = &env->reset({}, seeds, {}), *calm_view = &calm->reset({}, seeds, {});
  for (int t = 0; t < 12; ++t) {
    if (t == 5) {  // instance 0 begins anew, with a number; instance 1 is in the middle of its episode
      agent->number_episodes(std::vector<std::uint64_t>{3, 4});
      view = &env->reset(std::vector<std::uint8_t>{1, 0}, seeds, {});
    }
    std::vector<std::uint8_t> begin(view->reset.begin(), view->reset.end());
    if (t == 5) begin = {1, 0};
    StepView shown = *view;
    shown.reset = begin;
    agent->act(shown, a);
    other->act(*calm_view, b);
    EXPECT_EQ(a[2], b[2]) << t;
    view = &env->step(a);
    calm_view = &calm->step(b);
  }
}

TEST_P(Scripted, RefusesNumbersOfOtherInstances) {
  const auto env = maze(2);
  EXPECT_THROW(make_agent(GetParam(), noisy(), *env, kNoise)->number_episodes(std::vector<std::uint64_t>{1}),
               InvalidArgument);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const AgentInfo& agent : scripted_agents()) out.push_back(agent.name);
  return out;
}
INSTANTIATE_TEST_SUITE_P(All, Scripted, ::testing::ValuesIn(names()),
                         [](const auto& name) { return name.param; });

TEST(Random, HoldsAnActionUntilItsTimeOrTheEpisodeEnds) {
  const auto env = testing::make_toy({.count = 1, .max_steps = 4});
  const auto agent = make_agent(RandomConfig{.hold = 3}, *env, kNoise);
  std::vector<double> action(1), drawn;
  const StepView* view = &env->reset(0);
  for (int t = 0; t < 8; ++t) {
    agent->act(*view, action);
    drawn.push_back(action[0]);
    view = &env->step(action);
  }
  EXPECT_EQ(drawn[0], drawn[2]);
  EXPECT_NE(drawn[2], drawn[3]);
  EXPECT_NE(drawn[3], drawn[4]) << "a new episode";
  EXPECT_EQ(drawn[4], drawn[6]);
}

TEST(Random, RefusesActionsWithoutBounds) {
  const auto env = testing::make_toy({.action_limit = std::numeric_limits<double>::infinity()});
  EXPECT_THAT(message_of<InvalidArgument>([&] { make_agent(RandomConfig{}, *env, kNoise); }),
              HasSubstr("random: expected bounded actions"));
}

TEST(LoadAgent, NamesAFileOfAnotherKind) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", {}, {{"kind", "shoes"}});
  const auto env = testing::make_toy({});
  EXPECT_THAT(message_of<Error>([&] { load_agent(folder / "x.safetensors", *env, kNoise); }),
              HasSubstr("expected one of diffreward.bc.1, diffreward.sac.1, diffreward.ppo.5, "
                        "diffreward-diffusion-1, found 'shoes'"));
}

}  // namespace
}  // namespace diffreward
