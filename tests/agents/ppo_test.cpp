// PPO against arithmetic: advantages, statistics and values with known answers, the sign of the policy
// gradient, what a held decision is paid, exact resumption, and a task with a known optimum.
#include "agents/ppo/ppo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "agents/ppo/gae.h"
#include "agents/ppo/running_statistics.h"
#include "core/file.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "tests/agents/toy_env.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using testing::make_toy;
using ::testing::SizeIs;
using testing::ToyEnv;
using testing::ToyTask;

TEST(Gae, MatchesNumbersWorkedOutByHand) {
  // One instance, gamma 0.5, lambda 0.5: decision 1 ends truncated with V(s') = 4, decision 2 goes on.
  const std::vector<float> reward{1, 2, 3}, value{2, 2, 2}, next{2, 4, 6};
  const std::vector<std::uint8_t> terminated{0, 0, 0}, ended{0, 1, 0};
  std::vector<float> advantage(3);
  generalized_advantages({reward, value, next, terminated, ended}, 1, 0.5, 0.5, advantage);
  EXPECT_FLOAT_EQ(advantage[2], 3 + 0.5f * 6 - 2);  // 4
  EXPECT_FLOAT_EQ(advantage[1], 2 + 0.5f * 4 - 2);  // 2: nothing flows back over the reset
  EXPECT_FLOAT_EQ(advantage[0], 1 + 0.5f * 2 - 2 + 0.25f * 2);

  const std::vector<std::uint8_t> really{0, 1, 0};
  generalized_advantages({reward, value, next, really, ended}, 1, 0.5, 0.5, advantage);
  EXPECT_FLOAT_EQ(advantage[1], 2 - 2);  // a terminated episode has no future
}

TEST(Gae, EqualsTheSumOfDiscountedErrorsUpToTheEpisodesEnd) {
  constexpr std::size_t kDecisions = 37, kCount = 5;
  constexpr double kGamma = 0.97, kLambda = 0.9;
  Rng rng(3);
  std::vector<float> reward, value, next;
  std::vector<std::uint8_t> terminated, ended;
  for (std::size_t k = 0; k < kDecisions * kCount; ++k) {
    reward.push_back(static_cast<float>(rng.normal()));
    value.push_back(static_cast<float>(rng.normal()));
    next.push_back(static_cast<float>(rng.normal()));
    ended.push_back(rng.uniform() < 0.2);
    terminated.push_back(ended.back() && rng.uniform() < 0.5);
  }
  std::vector<float> advantage(reward.size());
  generalized_advantages({reward, value, next, terminated, ended}, kCount, kGamma, kLambda, advantage);
  for (std::size_t i = 0; i < kCount; ++i)
    for (std::size_t t = 0; t < kDecisions; ++t) {
      double sum = 0, weight = 1;
      for (std::size_t s = t; s < kDecisions; ++s, weight *= kGamma * kLambda) {
        const std::size_t k = s * kCount + i;
        const double future = terminated[k] ? 0.0 : kGamma * double{next[k]};
        sum += weight * (double{reward[k]} + future - double{value[k]});
        if (ended[k]) break;
      }
      ASSERT_NEAR(advantage[t * kCount + i], sum, 1e-5) << "decision " << t << " of instance " << i;
    }
}

TEST(RunningStatistics, MergedBatchesEqualTheWholeStream) {
  Rng rng(1);
  std::vector<double> rows;
  RunningStatistics merged(2);
  for (const std::size_t batch : {1u, 7u, 100u, 3u}) {
    std::vector<double> part;
    for (std::size_t i = 0; i < batch; ++i) {
      part.push_back(1e6 + rng.normal());  // a large offset: the naive sum of squares would lose it
      part.push_back(0.01 * rng.uniform());
    }
    merged.update(part);
    rows.insert(rows.end(), part.begin(), part.end());
  }
  for (std::size_t c = 0; c < 2; ++c) {
    double mean = 0, variance = 0;
    for (std::size_t i = c; i < rows.size(); i += 2) mean += rows[i] / 111;
    for (std::size_t i = c; i < rows.size(); i += 2) variance += (rows[i] - mean) * (rows[i] - mean) / 111;
    EXPECT_NEAR(merged.mean(c), mean, 1e-9 * std::abs(mean));
    EXPECT_NEAR(merged.variance(c), variance, 1e-6 * variance);
  }
}

TEST(ReturnDeviation, FollowsDiscountedReturnsAndForgetsEndedEpisodes) {
  ReturnDeviation deviation;
  deviation.restart(2);
  const std::vector<std::uint8_t> going{0, 0}, second_ends{0, 1};
  deviation.update(std::vector<float>{1, 2}, going, 0.5);        // returns 1, 2
  deviation.update(std::vector<float>{1, 2}, second_ends, 0.5);  // 1.5, 3, then the second restarts
  deviation.update(std::vector<float>{1, 2}, going, 0.5);        // 1.75, 2
  const std::vector<double> returns{1, 2, 1.5, 3, 1.75, 2};
  double mean = 0, variance = 0;
  for (const double r : returns) mean += r / 6;
  for (const double r : returns) variance += (r - mean) * (r - mean) / 6;
  EXPECT_NEAR(deviation.value(), std::sqrt(variance), 1e-6);
}

/// A task with one state that pays 1 a step; trained until the value net has converged.
double value_of_one_state(int max_steps, bool terminate, PpoConfig config) {
  const auto env = make_toy({.count = 16,
                             .max_steps = max_steps,
                             .step = [](double&, double) { return 1.0; },
                             .terminate = terminate});
  config.hidden = {8};
  config.lr = 0.02;
  config.normalize_rewards = false;
  config.gradient_clip = 0;
  config.minibatches = 1;
  Ppo agent(*env, config);
  agent.train(std::int64_t{60} * config.decisions * config.action_repeat * env->size());
  double value = 0;
  agent.value(std::vector<double>{0}, {&value, 1});
  return value;
}

TEST(Ppo, BootstrapsTruncatedEpisodesAndNotTerminatedOnes) {
  // Truncated: the state is worth 1 / (1 - gamma) = 10. Terminated after a uniform number of 1 ... 10 further
  // steps: the mean over k of (1 - 0.9^k) / 0.1 = 4.138.
  const PpoConfig config{.decisions = 40, .gamma = 0.9, .lambda = 1};
  EXPECT_NEAR(value_of_one_state(10, false, config), 10, 0.3);
  EXPECT_NEAR(value_of_one_state(10, true, config), 4.138, 0.1);
}

TEST(Ppo, PaysAHeldDecisionUpToTheEpisodesEnd) {
  // Episodes of 3 steps, decisions of 2: decisions begin at step 0 (earns 2 and is followed by one that earns
  // 1), at step 2 (earns 1, its second step belongs to the next episode and is not credited), at step 1
  // (earns 2). Undiscounted values 3, 1, 2: mean 2. Crediting the rest of the hold would give more.
  const PpoConfig config{.decisions = 39, .action_repeat = 2, .gamma = 1, .lambda = 1};
  EXPECT_NEAR(value_of_one_state(3, true, config), 2, 0.05);
}

TEST(Ppo, HoldsEachDecisionForItsStepsAndStaysInTheBox) {
  const auto env = make_toy({.count = 4, .step = [](double&, double) { return 0.0; }, .action_limit = 0.5});
  Ppo agent(*env, {.decisions = 8, .action_repeat = 3, .epochs = 1, .minibatches = 1});
  agent.train(1);
  double largest = 0;
  for (int i = 0; i < 4; ++i) {
    const std::vector<double>& actions = dynamic_cast<ToyEnv&>(env->env(i)).actions();
    ASSERT_EQ(actions.size(), 24u);
    for (std::size_t t = 0; t < 24; ++t) {
      EXPECT_EQ(actions[t], actions[t - t % 3]);
      largest = std::max(largest, std::abs(actions[t]));
    }
    EXPECT_THAT(std::set<double>(actions.begin(), actions.end()), SizeIs(::testing::Gt(2u)));
  }
  EXPECT_DOUBLE_EQ(largest, 0.5);  // deviation of half a box: some of 32 draws are clipped
}

TEST(Ppo, ActHoldsDecisionsPerInstanceUntilTheirReset) {
  const auto env = make_toy({.count = 1, .step = [](double& x, double a) { return x += a; }});
  Ppo agent(*env, {.decisions = 64, .action_repeat = 2, .epochs = 3});
  agent.train(640);
  const auto act = [&](std::vector<double> obs, std::vector<std::uint8_t> begin) {
    std::vector<double> actions(obs.size());
    agent.act({.obs = obs, .reset = begin}, actions);
    return actions;
  };
  const auto first = act({-1, 1}, {1, 1});
  EXPECT_NE(first[0], first[1]);
  const auto second = act({0.5, -1}, {0, 1});
  EXPECT_EQ(second[0], first[0]) << "still held";
  EXPECT_NEAR(second[1], first[0], 1e-6) << "decides afresh after its reset";
}

TEST(Ppo, MovesThePolicyTowardsReward) {
  for (const double sign : {1.0, -1.0}) {
    const auto env =
        make_toy({.count = 32, .max_steps = 1, .step = [sign](double&, double a) { return sign * a; }});
    Ppo agent(*env, {.decisions = 32});
    const auto mean_action = [&] {
      double action = 0;
      agent.act({.obs = std::array{0.0}}, {&action, 1});
      return action;
    };
    const double before = mean_action();
    agent.train(1);
    EXPECT_GT(sign * (mean_action() - before), 0.02);
  }
}

ToyTask point_task(int count) {
  return {.count = count,
          .max_steps = 20,
          .start = [](Rng& rng) { return rng.uniform(-1, 1); },
          .step =
              [](double& x, double a) {
                x += 0.2 * std::clamp(a, -1.0, 1.0);
                return -x * x;
              }};
}

class Best final : public Agent {
 public:
  void act(const StepView& view, std::span<double> actions) override {
    for (std::size_t i = 0; i < view.obs.size(); ++i) actions[i] = std::clamp(-view.obs[i] / 0.2, -1.0, 1.0);
  }
};

double mean_return(VectorEnv& env, Agent& agent) {
  double sum = 0;
  const auto outcomes = evaluate_agent(env, agent, 128, 99);
  for (const EpisodeOutcome& outcome : outcomes) sum += outcome.task_return;
  return sum / static_cast<double>(outcomes.size());
}

TEST(Ppo, LearnsToBringAPointToRest) {
  const auto env = make_toy(point_task(32));
  Ppo agent(*env, {.decisions = 40, .lr = 3e-3});
  const double untrained = mean_return(*env, agent);
  std::vector<double> learned;
  agent.train(40 * 32 * 20,
              [&](const TrainingMetrics& metrics) { learned.push_back(metrics.episode_return); });
  Best best;
  const double optimum = mean_return(*env, best), trained = mean_return(*env, agent);
  EXPECT_LT(untrained, optimum - 3);
  EXPECT_GT(trained, optimum - 0.15) << "the optimum is " << optimum;
  EXPECT_GT(learned.back(), learned.front());
}

TEST(Ppo, EqualSeedsGiveEqualAgentsForAnyNumberOfThreads) {
  const auto actions_of = [](std::uint64_t seed, int threads) {
    ToyTask task = point_task(8);
    task.threads = threads;
    const auto env = make_toy(task);
    Ppo agent(*env, {.decisions = 10}, seed);
    agent.train(240);
    std::vector<double> actions(3);
    agent.act({.obs = std::array{-1.0, 0.0, 1.0}}, actions);
    return actions;
  };
  EXPECT_EQ(actions_of(1, 1), actions_of(1, 3));
  EXPECT_NE(actions_of(1, 1), actions_of(2, 1));
}

class PpoFile : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string error_of(VectorEnv& env) {
    try {
      Ppo::load(path_, env);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::filesystem::path folder_ = std::filesystem::path(::testing::TempDir()) / "ppo_test";
  std::filesystem::path path_ = folder_ / "agent.safetensors";
  const std::vector<double> obs_{-0.9, -0.1, 0.3, 0.8};
};

TEST_F(PpoFile, ASavedAgentActsAndValuesAsItDidAndLearnsOn) {
  const auto env = make_toy(point_task(8)), other = make_toy(point_task(8));
  const PpoConfig config{.decisions = 10, .hidden = {16, 8}};
  Ppo agent(*env, config, /*seed=*/5);
  agent.train(800);
  agent.save(path_);
  const auto loaded = Ppo::load(path_, *other);
  EXPECT_EQ(to_json(loaded->config()), to_json(config));
  std::vector<double> expected(4), found(4);
  agent.act({.obs = obs_}, expected);
  loaded->act({.obs = obs_}, found);
  EXPECT_EQ(found, expected);
  agent.value(obs_, expected);
  loaded->value(obs_, found);
  EXPECT_EQ(found, expected);
  std::int64_t steps = 0;
  loaded->train(800, [&](const TrainingMetrics& m) { steps = m.env_steps; });
  EXPECT_EQ(steps, 1600);
}

TEST_F(PpoFile, FromACheckpointItGoesOnAsIfItHadNeverStopped) {
  const auto env = make_toy(point_task(8)), other = make_toy(point_task(8));
  const PpoConfig config{.decisions = 10, .lr_schedule = "adaptive", .hidden = {16, 8}};
  Ppo agent(*env, config, /*seed=*/5), resumed(*other, config, /*seed=*/5);
  agent.train(800, [&](const TrainingMetrics& m) {
    if (m.env_steps == 400) agent.save_checkpoint(path_);
  });
  resumed.load_checkpoint(path_);
  resumed.train(800);
  std::vector<double> expected(4), found(4);
  agent.act({.obs = obs_}, expected);
  resumed.act({.obs = obs_}, found);
  EXPECT_EQ(found, expected);
  agent.value(obs_, expected);
  resumed.value(obs_, found);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(resumed.env_steps(), 800);
}

TEST_F(PpoFile, NamesTheFileAndWhatDiffers) {
  const auto env = make_toy(point_task(2));
  Ppo(*env, {.hidden = {4}}).save(path_);
  const auto wider = make_toy({.count = 2, .step = [](double&, double) { return 0.0; }, .action_limit = 2});
  EXPECT_THAT(error_of(*wider), HasSubstr("agent.safetensors: action box"));
  const std::string whole = read_file(path_);
  write_file(path_, std::string_view(whole).substr(0, whole.size() - 40));
  EXPECT_THAT(error_of(*env), HasSubstr("agent.safetensors"));
  std::filesystem::remove(path_);
  EXPECT_THAT(error_of(*env), HasSubstr("agent.safetensors"));
}

TEST_F(PpoFile, SettingsThatClaimMoreThanTheFileHoldsAllocateNothing) {
  const auto env = make_toy(point_task(2));
  Ppo(*env, {.hidden = {4}}).save(path_);
  const Safetensors whole = Safetensors::open(path_);
  std::map<std::string, std::string> metadata = whole.metadata();
  Json config = Json::parse(metadata.at("config"));
  config["hidden"] = {65536, 65536};
  metadata["config"] = config.dump();
  const std::filesystem::path good = folder_ / "good.safetensors";
  std::filesystem::rename(path_, good);
  write_safetensors(path_, whole.tensors(), metadata);
  const FewerBytes limit(std::size_t{1} << 30);
  EXPECT_THAT(error_of(*env),
              HasSubstr("agent.safetensors: tensor 'net.policy.0.weight': expected shape [65536, 1]"));
}

TEST_F(PpoFile, NotANumberIsNamed) {
  const auto env = make_toy(point_task(2));
  Ppo(*env, {.hidden = {4}}).save(path_);
  const std::string good = read_file(path_);
  const Safetensors file = Safetensors::parse(std::as_bytes(std::span(good)), "good");
  for (const char* name : {"net.policy.0.weight", "net.log_std", "observations", "returns", "action.low"}) {
    std::string bad = good;
    const TensorBytes& tensor = file.at(name);
    const auto at =
        static_cast<std::size_t>(reinterpret_cast<const char*>(tensor.bytes.data()) - good.data());
    const std::size_t size = tensor.dtype == "F64" ? 8 : 4;
    std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(at), size, '\xff');  // not a number
    write_file(path_, bad);
    EXPECT_THAT(error_of(*env),
                HasSubstr(concat("agent.safetensors: tensor '", name, "': expected finite numbers")));
  }
}

TEST(Ppo, StopsWhenTheRewardIsNotANumber) {
  const auto env = make_toy({.count = 2, .step = [](double&, double) { return std::nan(""); }});
  Ppo agent(*env, {.decisions = 4, .epochs = 1, .minibatches = 1});
  EXPECT_THROW(
      {
        try {
          agent.train(1);
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("reward is not finite in iteration 1"));
          throw;
        }
      },
      Error);
}

TEST(Ppo, RefusesBadSettingsAndSizes) {
  const auto env = make_toy(point_task(2));
  EXPECT_THROW(Ppo(*env, {.gamma = 1.5}), InvalidArgument);
  EXPECT_THROW(Ppo(*make_toy({.autoreset = "next_step"}), {}), InvalidArgument);
  EXPECT_THROW(Ppo(*env, {}, 0, "tpu"), InvalidArgument);
  Ppo agent(*env, {});
  std::vector<double> actions(3);
  EXPECT_THROW(agent.act({.obs = std::array{0.0, 0.0}}, actions), InvalidArgument);
  EXPECT_THROW(evaluate_agent(*env, agent, 0, 0), InvalidArgument);
}

class Idle final : public Agent {
 public:
  void act(const StepView&, std::span<double> actions) override { std::ranges::fill(actions, 0.0); }
};

TEST(EvaluateAgent, TakesOneWholeEpisodePerInstanceAndRound) {
  // Each instance starts at a random place and pays its position; the agent does nothing.
  for (const char* autoreset : {"same_step", "next_step", "disabled"}) {
    const auto env = make_toy({.count = 3,
                               .max_steps = 4,
                               .autoreset = autoreset,
                               .start = [](Rng& rng) { return rng.uniform(); },
                               .step = [](double& x, double) { return x; }});
    Idle idle;
    const auto outcomes = evaluate_agent(*env, idle, 5, 10);
    ASSERT_EQ(outcomes.size(), 5u);
    for (std::size_t i = 0; i < 5; ++i) {
      Rng rng(Streams(Purpose::kEvaluation, 10)[i]);  // instance i % 3 of round i / 3
      const double start = rng.uniform();
      EXPECT_NEAR(outcomes[i].task_return, 4 * start, 1e-12) << autoreset;
      EXPECT_EQ(outcomes[i].paid_return, outcomes[i].task_return);
      EXPECT_EQ(outcomes[i].steps, 4);
      EXPECT_EQ(outcomes[i].last_observation, std::vector<double>{start});
      EXPECT_TRUE(outcomes[i].last_info.empty());
    }
  }
}

TEST(EvaluateAgent, TellsTheInfoOfTheStateThatTheLastStepReached) {
  for (const char* autoreset : {"same_step", "next_step", "disabled"}) {
    const auto env = make_vector("Maze2D-UMaze-v0", {.count = 3, .autoreset = autoreset, .max_steps = 4});
    const std::size_t qpos = env->spec().info_offset("qpos").value();
    Idle idle;
    for (const EpisodeOutcome& outcome : evaluate_agent(*env, idle, 5, 10)) {
      ASSERT_EQ(outcome.last_info.size(), env->spec().info_size());
      for (std::size_t k = 0; k < 2; ++k)
        EXPECT_EQ(outcome.last_info[qpos + k], outcome.last_observation[k]) << autoreset;
    }
  }
}

}  // namespace
}  // namespace diffreward
