// Who draws starts and goals: recordings, evaluation and training never meet, whatever their seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <tuple>

#include "agents/agent.h"
#include "agents/ppo/ppo.h"
#include "agents/scripted/waypoints.h"
#include "datasets/collect.h"
#include "envs/vector_env.h"
#include "tests/agents/toy_env.h"

namespace diffreward {
namespace {

constexpr int kCount = 64;

class Still final : public Agent {
 public:
  void act(const StepView&, std::span<double> actions) override {
    std::fill(actions.begin(), actions.end(), 0.0);
  }
};

TEST(IndependentStreams, NoTwoUsesOfThreeSeedsShareAStart) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "streams_test";
  std::filesystem::create_directories(folder);
  std::map<std::tuple<std::uint64_t, std::uint64_t>, std::string> user;
  const auto note = [&](VectorEnv& envs, const std::string& what) {
    std::size_t noted = 0;
    for (int i = 0; i < envs.size(); ++i)
      for (const Seed& seed : dynamic_cast<testing::ToyEnv&>(envs.env(i)).seeds()) {
        const auto [at, fresh] = user.try_emplace({seed.value, seed.stream}, what);
        EXPECT_TRUE(fresh) << what << " meets " << at->second;
        ++noted;
      }
    return noted;
  };
  const testing::ToyTask task{.count = kCount, .max_steps = 4};
  for (const std::uint64_t seed : {0, 1, 2}) {
    for (const Recording recording :
         {Recording::kBase, Recording::kExpert, Recording::kHeldOutBase, Recording::kHeldOutExpert}) {
      const auto envs = testing::make_toy(task);
      Still still;
      collect(*envs, still, kCount * 4, {.behaviour = "still", .seed = seed, .recording = recording},
              folder / "data.hdf5");
      EXPECT_EQ(note(*envs, concat("recording ", int(recording), " of seed ", seed)), std::size_t(kCount));
    }
    const auto evaluated = testing::make_toy(task);
    Still agent;
    evaluate_agent(*evaluated, agent, 5 * kCount / 2, seed);
    EXPECT_EQ(note(*evaluated, concat("evaluation of seed ", seed)), std::size_t(3 * kCount));
    const auto chosen_by = testing::make_toy(task);
    evaluate_agent(*chosen_by, agent, kCount, seed, Purpose::kSelection);
    EXPECT_EQ(note(*chosen_by, concat("selection of seed ", seed)), std::size_t(kCount));
    const auto trained = testing::make_toy(task);
    Ppo ppo(*trained, {.decisions = 4}, seed);
    ppo.train(1);
    ppo.train(1);
    EXPECT_EQ(note(*trained, concat("training of seed ", seed)), std::size_t(2 * kCount));
  }
}

// Outcome k of an evaluation starts from stream k, however many instances there are.
TEST(IndependentStreams, AnEvaluationsStartsDoNotDependOnTheNumberOfInstances) {
  const auto starts = [](int count) {
    const auto envs = testing::make_toy(
        {.count = count, .max_steps = 3, .start = [](Rng& rng) { return rng.uniform(-1, 1); }});
    Still agent;
    std::vector<double> out;
    for (const EpisodeOutcome& outcome : evaluate_agent(*envs, agent, 10, 5))
      out.push_back(outcome.last_observation[0]);
    return out;
  };
  EXPECT_EQ(starts(10), starts(1));
  EXPECT_EQ(starts(10), starts(4));
}

}  // namespace
}  // namespace diffreward
