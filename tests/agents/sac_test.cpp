// SAC against arithmetic: what the buffer remembers, densities that integrate to one,
// tasks with known soft values and optima, and runs that go on as if never stopped.
#include "agents/sac/sac.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <set>

#include "agents/device.h"
#include "agents/nets/squashed_gaussian_torch.h"
#include "agents/sac/replay_buffer.h"
#include "core/file.h"
#include "envs/catalog.h"
#include "tests/agents/toy_env.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using testing::make_toy;
using testing::ToyTask;

// ---- the buffer ----

/// Two instances whose observation is 100 i + t, whose reward is 1 + t; the flags of each step are given.
class Remembered {
 public:
  explicit Remembered(std::int64_t capacity) : buffer(capacity, 2, 1, 1) {}

  void step(std::array<std::uint8_t, 2> terminated, std::array<std::uint8_t, 2> truncated) {
    const std::array obs{t, 100 + t}, next{t + 1, 101 + t}, reward{1 + t, 1 + t};
    const std::array actions{float(t), float(100 + t)};
    buffer.add(
        obs, actions,
        {.obs = next, .final_obs = next, .reward = reward, .terminated = terminated, .truncated = truncated});
    t += 1;
  }
  /// Draws until every remembered transition was seen: observation -> (R, discount, next observation).
  std::map<float, std::array<float, 3>> all(int n_step) {
    Rng rng(1);
    std::map<float, std::array<float, 3>> seen;
    for (int k = 0; k < 400; ++k) {
      float obs = 0, action = 0, reward = 0, discount = 0, next = 0;
      buffer.sample(rng, n_step, 0.5, {{&obs, 1}, {&action, 1}, {&reward, 1}, {&discount, 1}, {&next, 1}});
      EXPECT_EQ(action, obs);
      const std::array found{reward, discount, next};
      const auto [at, fresh] = seen.emplace(obs, found);
      EXPECT_EQ(at->second, found) << "of " << obs;
    }
    EXPECT_EQ(seen.size(), buffer.size());
    return seen;
  }
  ReplayBuffer buffer;
  double t = 0;
};

TEST(ReplayBuffer, SumsRewardsUpToTheEpisodesEnd) {
  Remembered r(100);
  r.step({0, 0}, {0, 0});
  r.step({1, 0}, {0, 1});  // instance 0 ends by its task, instance 1 is cut
  r.step({0, 0}, {0, 0});
  r.step({0, 0}, {0, 0});
  const auto one = r.all(1);
  EXPECT_EQ(one.at(0), (std::array{1.0f, 0.5f, 1.0f}));
  EXPECT_EQ(one.at(1), (std::array{2.0f, 0.0f, 2.0f}));      // terminated: no future
  EXPECT_EQ(one.at(101), (std::array{2.0f, 0.5f, 102.0f}));  // cut: bootstrapped from what it reached
  const auto three = r.all(3);
  EXPECT_EQ(three.at(0), (std::array{2.0f, 0.0f, 2.0f}));  // 1 + 0.5 * 2, then the end
  EXPECT_EQ(three.at(100), (std::array{2.0f, 0.25f, 102.0f}));
  EXPECT_EQ(three.at(102), (std::array{5.0f, 0.25f, 104.0f}));  // 3 + 0.5 * 4, then the memory ends
  EXPECT_EQ(three.at(3), (std::array{4.0f, 0.5f, 4.0f}));
}

TEST(ReplayBuffer, ForgetsTheOldestAndNeverJoinsNewAndOld) {
  Remembered r(6);  // three steps of two instances
  for (int k = 0; k < 5; ++k) r.step({0, 0}, {0, 0});
  EXPECT_EQ(r.buffer.size(), 6u);
  const auto two = r.all(2);
  EXPECT_FALSE(two.contains(1));
  EXPECT_EQ(two.at(2), (std::array{5.0f, 0.25f, 4.0f}));  // 3 + 0.5 * 4
  EXPECT_EQ(two.at(4), (std::array{5.0f, 0.5f, 5.0f}));   // the latest: not the oldest after it
  ReplayBuffer other(6, 2, 1, 1);
  other.set_rows(r.buffer.rows());
  EXPECT_EQ(other.rows(), r.buffer.rows());
  Rng a(3), b(3);
  for (int k = 0; k < 50; ++k) {
    float x[5], y[5];
    r.buffer.sample(a, 2, 0.5, {{x, 1}, {x + 1, 1}, {x + 2, 1}, {x + 3, 1}, {x + 4, 1}});
    other.sample(b, 2, 0.5, {{y, 1}, {y + 1, 1}, {y + 2, 1}, {y + 3, 1}, {y + 4, 1}});
    EXPECT_TRUE(std::equal(x, x + 5, y));
  }
}

TEST(ReplayBuffer, NamesWhatIsNotFiniteAndWhatIsTooLarge) {
  ReplayBuffer buffer(10, 2, 1, 1);
  const std::array obs{0.0, 0.0}, bad{0.0, std::nan("")};
  const std::array actions{0.0f, 0.0f};
  const std::array<std::uint8_t, 2> no{};
  const auto message = [&](std::span<const double> before, std::span<const double> reached,
                           std::span<const double> reward) {
    try {
      buffer.add(before, actions,
                 {.final_obs = reached, .reward = reward, .terminated = no, .truncated = no});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message(obs, obs, bad), "reward of instance 1: expected a finite number, found nan");
  EXPECT_THAT(message(obs, bad, obs), HasSubstr("observation reached of instance 1"));
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_THROW(ReplayBuffer(std::int64_t{1} << 50, 2, 17, 6), InvalidArgument);
  EXPECT_THROW(buffer.set_rows(std::vector<float>(7)), InvalidArgument);
}

// ---- nets ----

TEST(SquashedGaussian, DensitiesIntegrateToOneAndStayFinite) {
  for (const double mean : {0.0, 0.7, -2.0})
    for (const double log_std : {-1.5, 0.0, 0.6}) {
      // Over a = tanh(u) by the midpoint rule, densities taken at the noise that leads to each a.
      constexpr int kPoints = 200'000;
      const torch::Tensor action = (torch::arange(kPoints, torch::kFloat64) + 0.5) * (2.0 / kPoints) - 1;
      const torch::Tensor noise = ((action.atanh() - mean) / std::exp(log_std)).unsqueeze(1);
      const SquashedGaussian::Distribution distribution{torch::full({kPoints, 1}, mean, torch::kFloat64),
                                                        torch::full({kPoints, 1}, log_std, torch::kFloat64)};
      const auto draw = SquashedGaussian::draw(distribution, noise);
      EXPECT_LT((draw.action.squeeze(1) - action).abs().max().item<double>(), 1e-9);
      EXPECT_NEAR(draw.log_probability.exp().sum().item<double>() * 2 / kPoints, 1, 2e-3);
    }
  const torch::Tensor far = torch::tensor({-200.0f, -30.0f, 0.0f, 30.0f, 200.0f});
  const torch::Tensor slope = log_tanh_slope(far);
  EXPECT_NEAR(slope[2].item<double>(), 0, 1e-6);
  EXPECT_NEAR(slope[3].item<double>(), 2 * (std::numbers::ln2 - 30), 1e-4);
  EXPECT_NEAR(slope[0].item<double>(), 2 * (std::numbers::ln2 - 200), 1e-3);
}

// ---- values that are known ----

constexpr double kTemperature = 0.3;

/// What the critics of a converged agent say of x = 0 and the action 0.
double value_at(Sac& agent, double x) {
  double value = 0;
  agent.value({&x, 1}, std::array{0.0}, {&value, 1});
  return value;
}

SacConfig small(double temperature) {
  return {.hidden = {32},
          .batch = 64,
          .lr = 3e-3,
          .gamma = 0.9,
          .tau = 0.05,
          .updates_per_step = 1,
          .buffer = 4000,
          .learning_starts = 200,
          .temperature = temperature,
          .learn_temperature = false};
}

TEST(Sac, BootstrapsTruncatedEpisodesAndNotTerminatedOnes) {
  // A reward of 1 a step. Cut after 10 steps the state is worth 1 / (1 - gamma) = 10; where one transition of ten ends
  // the task, Q = 1 + gamma 0.9 Q: 5.263.
  const auto learned = [](bool terminate, int n_step) {
    const auto env = make_toy(
        {.count = 4, .max_steps = 10, .step = [](double&, double) { return 1.0; }, .terminate = terminate});
    SacConfig config = small(0);
    config.n_step = n_step;
    Sac agent(*env, config);
    agent.train(3000);
    return value_at(agent, 0);
  };
  EXPECT_NEAR(learned(false, 1), 10, 0.5);
  EXPECT_NEAR(learned(false, 3), 10, 0.5);
  EXPECT_NEAR(learned(true, 1), 5.263, 0.3);
}

TEST(Sac, FindsTheSoftValuesOfAChainOfTwoStates) {
  // x = 0 pays 1 and leads to x = 1, which pays 2 and ends. Actions do nothing, so the best policy is uniform over
  // [-1, 1], whose entropy is log 2: Q(1) = 2, Q(0) = 1 + gamma (2 + temperature log 2).
  const auto env = make_toy({.count = 4,
                             .max_steps = 2,
                             .step =
                                 [](double& x, double) {
                                   const double reward = 1 + x;
                                   x = 1;
                                   return reward;
                                 },
                             .terminate = true});
  Sac agent(*env, small(kTemperature));
  agent.train(8000);
  EXPECT_NEAR(value_at(agent, 1), 2, 0.06);
  EXPECT_NEAR(value_at(agent, 0), 1 + 0.9 * (2 + kTemperature * std::numbers::ln2), 0.08);
}

TEST(Sac, TemperatureHoldsTheEntropyAtItsTarget) {
  // The reward -a^2 would make the policy as narrow as it can be; the entropy is asked to stay at -0.5 nats.
  const auto env = make_toy({.count = 4, .max_steps = 5, .step = [](double&, double a) { return -a * a; }});
  SacConfig config = small(1);
  config.learn_temperature = true;
  config.target_entropy = -0.5;
  config.report_every = 1000;
  Sac agent(*env, config);
  double entropy = 0, temperature = 0;
  agent.train(8000, [&](const TrainingMetrics& metrics) {
    if (!metrics.details.contains("entropy")) return;
    entropy = metrics.details.at("entropy");
    temperature = metrics.details.at("temperature");
  });
  EXPECT_NEAR(entropy, -0.5, 0.15);
  EXPECT_LT(temperature, 1);
  EXPECT_GT(temperature, 0);
}

/// x moves by 0.2 a and pays -x^2: the best action brings it to rest as fast as the box allows.
ToyTask point_task(int count) {
  return {.count = count,
          .max_steps = 7,
          .start = [](Rng& rng) { return rng.uniform(-1, 1); },
          .step =
              [](double& x, double a) {
                x += 0.2 * std::clamp(a, -1.0, 1.0);
                return -x * x;
              }};
}

TEST(Sac, LearnsToBringAPointToRest) {
  class Best final : public Agent {
   public:
    void act(const StepView& view, std::span<double> actions) override {
      for (std::size_t i = 0; i < actions.size(); ++i) actions[i] = std::clamp(-view.obs[i] / 0.2, -1.0, 1.0);
    }
  } best;
  const auto env = make_toy(point_task(4));
  const auto mean_return = [&](Agent& who) {
    double sum = 0;
    for (const EpisodeOutcome& outcome : evaluate_agent(*env, who, 128, 1)) sum += outcome.task_return / 128;
    return sum;
  };
  SacConfig config = small(0.2);
  config.learn_temperature = true;
  Sac agent(*env, config);
  const double untrained = mean_return(agent), optimum = mean_return(best);
  agent.train(3000);
  EXPECT_LT(untrained, optimum - 0.3);
  EXPECT_GT(mean_return(agent), optimum - 0.05) << "the optimum is " << optimum;
}

// ---- runs ----

const SacConfig kShort{.hidden = {16, 8},
                       .layer_norm = true,
                       .batch = 16,
                       .updates_per_step = 0.5,
                       .actor_every = 2,
                       .n_step = 2,
                       .buffer = 300,
                       .learning_starts = 40,
                       .report_every = 80};

TEST(Sac, GoesOnFromACheckpointToTheSameBytes) {
  const TemporaryFolder folder;
  set_torch_threads(1);
  const auto saved = [&](Sac& agent) {
    agent.save(folder / "agent.safetensors");
    return read_file(folder / "agent.safetensors");
  };
  const auto env = make_toy(point_task(4));
  Sac whole(*env, kShort, 5);
  int reports = 0;
  whole.train(800, [&](const TrainingMetrics&) {
    if (++reports == 6) whole.save_checkpoint(folder / "checkpoint.safetensors");
  });
  const auto other = make_toy(point_task(4));
  Sac resumed(*other, kShort, 5);
  resumed.load_checkpoint(folder / "checkpoint.safetensors");
  EXPECT_EQ(resumed.env_steps(), 480);
  int rest = 0;
  resumed.train(800, [&](const TrainingMetrics&) { ++rest; });
  EXPECT_EQ(reports, 10);
  EXPECT_EQ(rest, 4);
  EXPECT_EQ(saved(resumed), saved(whole));
  // and another call of train() too
  whole.train(80);
  resumed.train(80);
  EXPECT_EQ(saved(resumed), saved(whole));

  Sac unlike(*other, kShort, 6);
  EXPECT_THROW(unlike.load_checkpoint(folder / "checkpoint.safetensors"), Error);
}

TEST(Sac, EqualSeedsGiveEqualAgents) {
  const auto actions_of = [](std::uint64_t seed) {
    const auto env = make_toy(point_task(4));
    Sac agent(*env, kShort, seed);
    agent.train(240);
    std::vector<double> actions(3);
    agent.act({.obs = std::array{-1.0, 0.0, 1.0}}, actions);
    return actions;
  };
  EXPECT_EQ(actions_of(1), actions_of(1));
  EXPECT_NE(actions_of(1), actions_of(2));
}

TEST(Sac, DrawsByTheNumberOfTheEpisodeAndTellsTheDensity) {
  const TemporaryFolder folder;
  const auto env = make_toy({.count = 2, .action_limit = 2});
  Sac agent(*env, kShort, 5);
  agent.save(folder / "agent.safetensors");
  const auto loaded = Sac::load(folder / "agent.safetensors", *env);
  const std::array obs{0.3, 0.3};
  const std::array<std::uint8_t, 2> begin{1, 1};
  std::array<double, 2> mode{}, again{}, first{}, second{};
  agent.act({.obs = obs}, mode);
  loaded->act({.obs = obs}, again);
  EXPECT_EQ(mode, again);
  std::array<double, 2> density{};
  EXPECT_FALSE(loaded->log_probabilities(density));
  loaded->act_stochastically(Streams(Purpose::kBehaviour, 1));
  loaded->number_episodes(std::array<std::uint64_t, 2>{7, 8});
  loaded->act({.obs = obs, .reset = begin}, first);
  loaded->number_episodes(std::array<std::uint64_t, 2>{8, 7});
  loaded->act({.obs = obs, .reset = begin}, second);
  EXPECT_NE(first[0], first[1]);
  EXPECT_EQ(first[0], second[1]);
  EXPECT_EQ(first[1], second[0]);
  // Densities in task units: over the box [-2, 2] they integrate to one, judged by importance: E[1 / p] = 4.
  double inverse = 0;
  constexpr int kDraws = 20'000;
  for (int k = 0; k < kDraws; ++k) {
    loaded->act({.obs = obs}, first);
    ASSERT_TRUE(loaded->log_probabilities(density));
    inverse += 0.5 * (std::exp(-density[0]) + std::exp(-density[1])) / kDraws;
  }
  EXPECT_NEAR(inverse, 4, 0.5);
}

TEST(Sac, NamesWhatDoesNotFit) {
  const TemporaryFolder folder;
  const auto env = make_toy(point_task(2));
  Sac(*env, kShort).save(folder / "agent.safetensors");
  const auto message = [&](VectorEnv& of) {
    try {
      Sac::load(folder / "agent.safetensors", of);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto wider = make_toy({.count = 2, .action_limit = 2});
  EXPECT_THAT(message(*wider), HasSubstr("agent.safetensors: action box: expected"));
  const auto robot = make_vector("Hopper-v5", {.autoreset = "same_step"});
  EXPECT_THAT(message(*robot), HasSubstr("expected an agent of Hopper, found one of Toy-v0"));
  const auto next_step = make_vector("Hopper-v5", {});
  EXPECT_THROW(Sac(*next_step, kShort), InvalidArgument);
  const auto sick = make_toy({.count = 2, .step = [](double&, double) { return std::nan(""); }});
  Sac agent(*sick, kShort);
  try {
    agent.train(10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("SAC on Toy-v0: reward of instance 0: expected a finite number, found nan"));
  }
  EXPECT_THROW(agent.act({.obs = std::array{0.0, 0.0}}, std::span<double>()), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
