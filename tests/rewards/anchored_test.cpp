// A reward beside the log density of a clone, where the optimum is known: one decision, Gaussian on both sides.
#include "rewards/anchored.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "agents/device.h"
#include "agents/sac/sac.h"
#include "core/progress.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "datasets/collect.h"
#include "rewards/rewarded_env.h"
#include "tests/agents/toy_env.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using testing::make_toy;
using testing::ToyTask;

const bool kOneThread = (set_torch_threads(1), true);

constexpr double kBaseMean = 0.2, kBaseDeviation = 0.3, kExpertMean = -0.2, kExpertDeviation = 0.2;

double log_normal(double x, double mean, double deviation) {
  const double z = (x - mean) / deviation;
  return -0.5 * z * z - std::log(deviation) - 0.5 * std::log(2 * std::numbers::pi);
}

ToyTask one_decision() {
  return {.count = 4, .max_steps = 1, .step = [](double&, double) { return 0.0; }, .terminate = true};
}

class Drawing final : public Agent {
 public:
  void act(const StepView&, std::span<double> actions) override {
    for (double& action : actions) action = kBaseMean + kBaseDeviation * rng_.normal();
  }

 private:
  Rng rng_{3};
};

class Anchoring : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Progress::silence();
    folder_ = std::make_unique<TemporaryFolder>();
    const auto env = make_toy(one_decision());
    Drawing base;
    const Dataset data = collect(*env, base, 4000, {.behaviour = "normal"}, *folder_ / "base.hdf5");
    Bc clone(*env, {.data = data.path().string(), .hidden = {16}, .batch = 256, .lr = 3e-3});
    clone.train(1500);
    clone.save(*folder_ / "clone.safetensors");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::shared_ptr<Bc> clone(VectorEnv& env) { return Bc::load(*folder_ / "clone.safetensors", env); }
  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> Anchoring::folder_;

/// log p_expert(a) - log p_base(a) of the newest row of a window of two.
class LogRatio final : public RewardModel {
 public:
  explicit LogRatio(Reads reads = Reads::kStateAction) : reads_(reads) {}
  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override { return reads_; }
  double terminal() const override { return 0.25; }
  void score(std::span<const float> windows, std::span<float> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double action = windows[4 * i + 2];
      out[i] = static_cast<float>(log_normal(action, kExpertMean, kExpertDeviation) -
                                  log_normal(action, kBaseMean, kBaseDeviation));
    }
  }

 private:
  WindowLayout layout_{.horizon = 2, .stride = 1, .action_dim = 1, .observation_dim = 1};
  Reads reads_;
};

TEST_F(Anchoring, ClonesTellTheDensityThatTheyDrawFrom) {
  const auto env = make_toy(one_decision());
  const auto policy = clone(*env);
  std::vector<float> at, zeros, found;
  for (float action = -1; action <= 1; action += 0.125f) at.push_back(action);
  zeros.resize(at.size());
  found.resize(at.size());
  policy->log_density(zeros, at, found);
  for (std::size_t i = 0; i < at.size(); ++i)
    if (std::abs(double{at[i]} - kBaseMean) < 2 * kBaseDeviation) {
      EXPECT_NEAR(found[i], log_normal(double{at[i]}, kBaseMean, kBaseDeviation), 0.15) << at[i];
    }
  // Draws are judged by the very numbers that they were made with.
  policy->act_stochastically(Streams(Purpose::kBehaviour, 5));
  env->reset(Streams(Purpose::kTraining, 0));
  std::vector<double> actions(4), drawn(4);
  policy->act(env->view(), actions);
  ASSERT_TRUE(policy->log_probabilities(drawn));
  const std::vector<float> taken(actions.begin(), actions.end());
  policy->log_density(std::vector<float>(4), taken, std::span(found).first(4));
  for (std::size_t i = 0; i < 4; ++i)
    if (std::abs(actions[i]) < 1) {
      EXPECT_NEAR(found[i], drawn[i], 1e-5);
    }
}

TEST_F(Anchoring, AddsTheWeightedDensityOfTheNewestRow) {
  const auto env = make_toy(one_decision());
  const auto policy = clone(*env);
  const auto reward = std::make_shared<LogRatio>();
  const auto sum = anchored(reward, policy, 2);
  const std::vector<float> windows = {0.7f, 0, -0.1f, 0, -0.9f, 0, 0.4f, 0};  // [2, 2, 2]
  std::vector<float> plain(2), both(2), density(2);
  reward->score(windows, plain);
  sum->score(windows, both);
  policy->log_density(std::vector<float>{0, 0}, std::vector<float>{-0.1f, 0.4f}, density);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_FLOAT_EQ(both[i], plain[i] + 2 * density[i]);
  EXPECT_EQ(sum->terminal(), 0.25);
}

/// Mean and deviation of what SAC at a temperature of one nat draws after learning from a reward.
std::pair<double, double> learned(std::shared_ptr<const RewardModel> reward) {
  RewardedEnv env(make_toy(one_decision()), std::move(reward));
  Sac agent(env, {.hidden = {32},
                  .batch = 128,
                  .lr = 3e-3,
                  .tau = 0.05,
                  .updates_per_step = 0.5,
                  .buffer = 8000,
                  .learning_starts = 500,
                  .temperature = 1,
                  .learn_temperature = false});
  agent.train(8000);
  agent.act_stochastically(Streams(Purpose::kBehaviour, 7));
  std::vector<double> draws;
  while (draws.size() < 2000) {
    std::vector<double> actions(4);
    agent.act(env.view(), actions);
    draws.insert(draws.end(), actions.begin(), actions.end());
    env.step(actions);
  }
  return {mean(draws), standard_deviation(draws)};
}

TEST_F(Anchoring, AnAgentPaidTheLogRatioBecomesTheExpert) {
  const auto env = make_toy(one_decision());
  const auto [middle, deviation] = learned(anchored(std::make_shared<LogRatio>(), clone(*env), 1));
  EXPECT_NEAR(middle, kExpertMean, 0.05);
  EXPECT_NEAR(deviation, kExpertDeviation, 0.05);
  // The ratio alone is largest far outside of both, where its two parabolas differ most: at -0.52.
  EXPECT_LT(learned(std::make_shared<LogRatio>()).first, kExpertMean - 0.15);
}

TEST_F(Anchoring, NamesWhatDoesNotFit) {
  const auto env = make_toy(one_decision());
  const auto message = [](const auto& run) {
    try {
      run();
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message([&] { anchored(std::make_shared<LogRatio>(), clone(*env), 0); }),
              HasSubstr("expected a weight above 0, got 0"));
  EXPECT_THAT(message([&] { anchored(std::make_shared<LogRatio>(Reads::kReached), clone(*env), 1); }),
              HasSubstr("expected a reward of states and actions"));
}

}  // namespace
}  // namespace diffreward
