// Imitation against arithmetic: where batches come from and what they are paid, ends that neither sign of a payment makes good
// or bad, tasks imitated from good demonstrations and not from bad ones, runs that go on as if never stopped.
#include "agents/imitation/imitation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>

#include "agents/catalog.h"
#include "agents/device.h"
#include "agents/imitation/dwbc_torch.h"
#include "agents/imitation/imitator_torch.h"
#include "agents/numbers_torch.h"
#include "core/file.h"
#include "datasets/collect.h"
#include "envs/catalog.h"
#include "tests/agents/toy_env.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using testing::make_toy;
using testing::ToyTask;

const torch::Device kCpu = torch::kCPU;

/// Acts by a function of the observation.
class Law final : public Agent {
 public:
  explicit Law(std::function<double(double)> law) : law_(std::move(law)) {}
  void act(const StepView& view, std::span<double> actions) override {
    std::ranges::transform(view.obs, actions.begin(), law_);
  }

 private:
  std::function<double(double)> law_;
};

/// The file of `steps` transitions by a law.
std::string record(const std::filesystem::path& path, const ToyTask& task, std::function<double(double)> law,
                   std::size_t steps) {
  const auto env = make_toy(task);
  Law agent(std::move(law));
  return collect(*env, agent, steps, {.behaviour = "a law"}, path).path().string();
}

const bool kOneThread = (set_torch_threads(1), true);  // nets are too small to share

SacConfig small() {
  return {.hidden = {32},
          .batch = 64,
          .lr = 3e-3,
          .gamma = 0.8,
          .tau = 0.05,
          .buffer = 4000,
          .learning_starts = 200,
          .temperature = 0.05,
          .learn_temperature = false};
}

/// x moves by 0.2 a; the task pays -x^2, of which imitators hear nothing.
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
double to_rest(double x) {
  return std::clamp(-x / 0.2, -1.0, 1.0);
}

// ---- ends ----

/// Two lines of a task: an action above 0 ends it, any other changes nothing.
ToyTask perilous(int count) {
  return {.count = count,
          .max_steps = 8,
          .step =
              [](double& x, double a) {
                x = a > 0 ? 1 : 0;
                return 0.0;
              },
          .ends = [](double x) { return x > 0.5; }};
}

TEST(AbsorbingState, FollowsEndsInTheMemory) {
  ReplayBuffer buffer(8, 1, 2, 1, true);
  const auto add = [&](double obs, bool terminated, bool truncated) {
    const std::array before{obs, 5.0}, after{obs + 1, 5.0};
    const std::array reward{3.0};
    const std::array action{0.5f};
    const std::array ends{std::uint8_t{terminated}}, cut{std::uint8_t{truncated}};
    buffer.add(before, action, {.final_obs = after, .reward = reward, .terminated = ends, .truncated = cut});
  };
  add(10, false, false);
  add(11, true, false);
  add(20, false, true);
  Rng rng(1);
  const SacBatch batch = draw_transitions(buffer, rng, 3000, {.gamma = 0.5}, kCpu);
  int ends = 0, loops = 0;
  for (std::int64_t b = 0; b < 3000; ++b) {
    const auto row = [&](const torch::Tensor& of) {
      return std::vector<float>(of[b].const_data_ptr<float>(), of[b].const_data_ptr<float>() + 3);
    };
    const std::vector<float> before = row(batch.observation), after = row(batch.next_observation),
                             absorbing = {0, 0, 1};
    EXPECT_EQ(batch.discount[b].item<float>(), 0.5f) << "nothing has no future";
    ends += before[0] == 11;
    loops += before == absorbing;
    if (before == absorbing) {
      EXPECT_EQ(after, absorbing);
      EXPECT_EQ(batch.action[b].item<float>(), 0);
      EXPECT_EQ(batch.reward[b].item<float>(), 0);
    } else {
      EXPECT_EQ(after, before[0] == 11 ? absorbing : (std::vector<float>{before[0] + 1, 5, 0}));
      EXPECT_EQ(batch.action[b].item<float>(), 0.5f);
    }
  }
  EXPECT_NEAR(ends, 750, 60) << "of two transitions, an end and a loop each is one in four";
  EXPECT_LE(std::abs(ends - loops), 1);
}

/// Pays every transition the same.
class Flat final : public SacObjective {
 public:
  Flat(const SacConfig& config, bool absorbing, double payment)
      : SacObjective(config, kCpu, absorbing), payment_(payment) {}
  SacBatch batch(const ReplayBuffer& memory, Rng& rng) override {
    SacBatch batch = SacObjective::batch(memory, rng);
    batch.reward.fill_(payment_);
    return batch;
  }

 private:
  double payment_;
};

TEST(AbsorbingState, MakesNeitherDyingNorSurvivingGoodByItself) {
  SacConfig config = small();
  config.temperature = 0;
  /// Q of dying and of living.
  const auto worths = [&](bool absorbing, double payment) {
    const auto env = make_toy(perilous(4));
    Sac agent(*env, config, 0, "cpu", std::make_unique<Flat>(config, absorbing, payment));
    agent.train(1000);
    std::array<double, 2> values{};
    agent.value(std::array{0.0, 0.0}, std::array{0.6, -0.6}, values);
    return values;
  };
  for (const double payment : {1.0, -1.0}) {
    const auto [dying, living] = worths(true, payment);
    EXPECT_NEAR(dying, 5 * payment, 0.4) << "payment / (1 - gamma)";
    EXPECT_NEAR(living, 5 * payment, 0.4);
    const auto [dead, alive] = worths(false, payment);
    EXPECT_NEAR(dead, payment, 0.3) << "nothing beyond";
    if (payment > 0)
      EXPECT_GT(alive, dead + 1) << "without it payments make survivors";
    else
      EXPECT_LT(alive, dead - 0.5) << "and costs suicides";
  }
}

// ---- SQIL ----

TEST(Sqil, PaysHalfABatchOfDemonstrationsOneAndItsOwnNothing) {
  const TemporaryFolder folder;
  const ToyTask task{.max_steps = 4, .start = [](Rng&) { return 0.5; }, .action_limit = 2};
  const auto env = make_toy(task);
  const SqilConfig config{{.data = record(
                               folder / "d.hdf5", task, [](double) { return 1.0; }, 8),
                           .sac = {.batch = 10, .gamma = 0.9}}};
  Sqil sqil(config, *env, 0, kCpu);
  ReplayBuffer memory(4, 1, 1, 1, true);
  const std::array own{-0.5}, reward{7.0};
  const std::array chosen{-0.25f};
  const std::array<std::uint8_t, 1> no{};
  memory.add(own, chosen, {.final_obs = own, .reward = reward, .terminated = no, .truncated = no});
  Rng rng(1);
  const SacBatch batch = sqil.batch(memory, rng);
  for (std::int64_t b = 0; b < 10; ++b) {
    const bool shown = b < 5;
    EXPECT_EQ(batch.observation[b][0].item<float>(), shown ? 0.5f : -0.5f);
    EXPECT_EQ(batch.action[b].item<float>(), shown ? 0.5f : -0.25f) << "in half-boxes";
    EXPECT_EQ(batch.reward[b].item<float>(), shown ? 1.0f : 0.0f);
    EXPECT_EQ(batch.discount[b].item<float>(), 0.9f);
  }
}

// ---- discriminators ----

/// Rows of the numbers 0, 1 and 2 as unit vectors, so many of each.
torch::Tensor counted(std::array<int, 3> counts) {
  std::vector<torch::Tensor> rows;
  for (std::int64_t k = 0; k < 3; ++k)
    for (int i = 0; i < counts[std::size_t(k)]; ++i) rows.push_back(torch::eye(3)[k]);
  return torch::stack(rows);
}

TEST(TransitionDiscriminator, TellsTheLogarithmOfTheRatioAtItsOptimum) {
  const torch::Tensor shown = counted({5, 3, 2}), own = counted({1, 3, 6});
  TransitionDiscriminator discriminator(3, {16, 16}, Seed(1), kCpu);
  for (int k = 0; k < 500; ++k) {
    cross_entropy(discriminator.logit(shown), discriminator.logit(own)).backward();
    discriminator.step(0.01);
  }
  const torch::NoGradGuard no_grad;
  const torch::Tensor logit = discriminator.logit(torch::eye(3));
  EXPECT_NEAR(logit[0].item<double>(), std::log(5.0), 0.02);
  EXPECT_NEAR(logit[1].item<double>(), 0, 0.02);
  EXPECT_NEAR(logit[2].item<double>(), std::log(1 / 3.0), 0.02);
}

TEST(TransitionDiscriminator, PenaltyIsWhatAutogradMakesOfIt) {
  torch::manual_seed(1);
  for (const std::vector<int>& hidden : {std::vector<int>{8, 6}, std::vector<int>{5}, std::vector<int>{}}) {
    TransitionDiscriminator discriminator(4, hidden, Seed(2), kCpu);
    const torch::Tensor x = torch::randn({7, 4}).set_requires_grad(true);
    const auto gradients = [&](const torch::Tensor& loss) {
      for (const auto& [name, parameter] : discriminator.parameters().named()) parameter.grad().zero_();
      loss.backward();
      std::vector<torch::Tensor> out;
      for (const auto& [name, parameter] : discriminator.parameters().named())
        out.push_back(parameter.grad().flatten().clone());
      return torch::cat(out);
    };
    const torch::Tensor slope =
        torch::autograd::grad({discriminator.logit(x).sum()}, {x}, {}, true, /*create_graph=*/true)[0];
    EXPECT_TRUE(torch::allclose(slope, discriminator.gradient(x), 1e-5, 1e-6));
    const torch::Tensor expected = (slope.norm(2, 1) - 1).square().mean();
    EXPECT_NEAR(discriminator.penalty(x).item<double>(), expected.item<double>(), 1e-6);
    EXPECT_TRUE(torch::allclose(gradients(expected), gradients(discriminator.penalty(x)), 1e-4, 1e-6));
  }
}

TEST(Adversarial, PaysByThePresentDiscriminatorAndStoresNothing) {
  const TemporaryFolder folder;
  const ToyTask task{.max_steps = 4, .start = [](Rng&) { return 0.5; }};
  const auto env = make_toy(task);
  const std::string data = record(
      folder / "d.hdf5", task, [](double) { return 1.0; }, 8);
  Gail gail({{{.data = data, .sac = {.batch = 16}}}}, *env, 0, kCpu);
  Airl airl({{{.data = data, .sac = {.batch = 16}}}}, *env, 0, kCpu);
  ReplayBuffer memory(4, 1, 1, 1, true);
  const std::array own{-0.5}, reward{7.0};
  const std::array chosen{-0.25f};
  const std::array<std::uint8_t, 1> no{};
  memory.add(own, chosen, {.final_obs = own, .reward = reward, .terminated = no, .truncated = no});
  const std::vector<float> before = memory.rows();
  Rng rng(1);
  for (Adversarial* each : std::initializer_list<Adversarial*>{&gail, &airl}) {
    float first = 0, last = 0;
    for (int k = 0; k < 30; ++k) {
      const SacBatch batch = each->batch(memory, rng);
      EXPECT_TRUE((batch.observation.select(1, 0) == -0.5).all().item<bool>()) << "its own alone";
      const torch::NoGradGuard no_grad;
      const torch::Tensor d =
          each->discriminator().logit(torch::cat({batch.observation, batch.action}, 1)).sigmoid();
      const torch::Tensor paid = each == &gail ? -(1 - d).log() : d.log() - (1 - d).log();
      EXPECT_TRUE(torch::allclose(batch.reward, paid, 1e-4, 1e-5));
      last = batch.reward[0].item<float>();
      if (k == 0) first = last;
    }
    EXPECT_LT(last, first - 0.1f) << "what is told from demonstrations is paid less";
    std::map<std::string, double> details;
    each->tell(details);
    EXPECT_EQ(details.count("paid") + details.count("discriminator_loss"), 2u);
  }
  EXPECT_EQ(memory.rows(), before);
}

// ---- IQ-Learn ----

TEST(IqLearn, RecoversTheRewardOfAChainOfTwoStates) {
  // Action a leads to state a. The stationary point of the loss in r is r = 2 chi (shown - own) / both, where own is how often
  // the soft policy of Q visits (s, a) from where the loss lets it start, and both the mean of the two halves of the batch.
  const torch::Tensor states = torch::tensor({0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}),
                      actions = torch::tensor({0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1});
  const torch::Tensor pairs = torch::one_hot(states * 2 + actions, 4).to(torch::kFloat64);  // [16, 4]
  const torch::Tensor shown = pairs.narrow(0, 0, 8).mean(0), both = pairs.mean(0);          // [4]
  IqLearnConfig config;
  config.sac.gamma = 0.8;
  for (const char* loss : {"value", "v0"}) {
    config.loss = loss;
    torch::Tensor table = torch::zeros({2, 2}, torch::kFloat64).set_requires_grad(true);
    torch::optim::LBFGS optimizer({table}, torch::optim::LBFGSOptions(1)
                                               .max_iter(200)
                                               .tolerance_grad(1e-10)
                                               .tolerance_change(1e-14)
                                               .line_search_fn("strong_wolfe"));
    optimizer.step([&] {
      optimizer.zero_grad();
      const torch::Tensor soft = table.logsumexp(1);  // at a temperature of 1
      const torch::Tensor result =
          iq_learn_loss(table.flatten().index_select(0, states * 2 + actions).unsqueeze(0),
                        soft.index_select(0, states), 0.8 * soft.index_select(0, actions), 8, config);
      result.backward();
      return result;
    });
    const torch::NoGradGuard no_grad;
    const torch::Tensor soft = table.logsumexp(1), policy = table.softmax(1);  // [2], [2, 2]
    const torch::Tensor begin = std::string(loss) == "v0"
                                    ? shown.view({2, 2}).sum(1) * 0.2
                                    : both.view({2, 2}).sum(1) - 0.8 * both.view({2, 2}).sum(0);
    // How often states are visited: visits = begin + gamma visits policy.
    const torch::Tensor visits =
        torch::linalg_solve(torch::eye(2, torch::kFloat64) - 0.8 * policy.t(), begin, true);
    const torch::Tensor own = (visits.unsqueeze(1) * policy).flatten();
    const torch::Tensor reward = (table - 0.8 * soft.unsqueeze(0)).flatten();
    EXPECT_TRUE(torch::allclose(reward, 2 * config.chi * (shown - own) / both, 0, 1e-5))
        << loss << "\n"
        << reward << "\n"
        << 2 * config.chi * (shown - own) / both;
    EXPECT_GT(policy[0][1].item<double>(), 0.55) << "what was shown more often";
  }
}

// ---- all of them ----

LearningAgents learners(const std::string& data, const SacConfig& sac) {
  LearningAgents configs;
  LearningAgents::visit(configs, [&](const char*, auto& config, const char*) {
    if constexpr (std::is_base_of_v<ImitationConfig, std::remove_reference_t<decltype(config)>>) {
      config.data = data;
      config.sac = sac;
    }
    if constexpr (std::is_base_of_v<AdversarialConfig, std::remove_reference_t<decltype(config)>>) {
      config.discriminator_hidden = {32};
      config.discriminator_lr = 1e-2;
      config.penalty = 1;
    }
    if constexpr (std::is_same_v<IqLearnConfig, std::remove_reference_t<decltype(config)>>)
      config.actor_lr = sac.lr;
  });
  return configs;
}

class Imitators : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<LearningAgent> make(const SacConfig& sac, VectorEnv& env, std::uint64_t seed = 0) const {
    return make_learner(GetParam(), learners(data_, sac), env, seed, "cpu");
  }
  double imitated(const std::function<double(double)>& law, std::int64_t steps) {
    data_ = record(folder_ / "d.hdf5", point_task(4), law, 280);
    const auto env = make_toy(point_task(4));
    const auto agent = make(small(), *env);
    agent->train(steps);
    double sum = 0;
    for (const EpisodeOutcome& outcome : evaluate_agent(*env, *agent, 128, 1))
      sum += outcome.task_return / 128;
    return sum;
  }
  const TemporaryFolder folder_;
  std::string data_;
};

TEST_P(Imitators, BringAPointToRestAsShownAndNotAsShownAtRandom) {
  const auto env = make_toy(point_task(4));
  Law best(to_rest);
  double optimum = 0;
  for (const EpisodeOutcome& outcome : evaluate_agent(*env, best, 128, 1))
    optimum += outcome.task_return / 128;
  Rng rng(3);
  EXPECT_GT(imitated(to_rest, 1200), optimum - 0.15) << "the optimum is " << optimum;
  EXPECT_LT(imitated([&](double) { return rng.uniform(-1, 1); }, 800), optimum - 0.3);
}

TEST_P(Imitators, DieAndSurviveAsShown) {
  SacConfig config = small();
  config.report_every = 100;
  for (const double action : {0.5, -0.5}) {
    data_ = record(
        folder_ / "d.hdf5", perilous(4), [&](double) { return action; }, 64);
    const auto env = make_toy(perilous(4));
    const auto agent = make(config, *env);
    double sum = 0;  // of a while: a discriminator and who is paid by it go round their equilibrium
    agent->train(800, [&](const TrainingMetrics&) {
      std::vector<double> chosen(1);
      agent->act({.obs = std::array{0.0}}, chosen);
      sum += chosen[0];
    });
    EXPECT_GT(sum / 8 * action, 0.05) << "shown " << action << ", found " << sum / 8;
  }
}

const SacConfig kShort{.hidden = {16, 8},
                       .batch = 16,
                       .updates_per_step = 0.5,
                       .buffer = 300,
                       .learning_starts = 40,
                       .learn_temperature = false,
                       .report_every = 80};

TEST_P(Imitators, GoOnFromACheckpointToTheSameBytes) {
  data_ = record(
      folder_ / "d.hdf5", perilous(4), [](double) { return 0.5; }, 40);
  const auto saved = [&](LearningAgent& agent) {
    agent.save(folder_ / "agent.safetensors");
    return read_file(folder_ / "agent.safetensors");
  };
  const auto env = make_toy(perilous(4)), other = make_toy(perilous(4));
  const auto whole = make(kShort, *env, 5), resumed = make(kShort, *other, 5);
  int reports = 0;
  whole->train(480, [&](const TrainingMetrics&) {
    if (++reports == 3) whole->save_checkpoint(folder_ / "checkpoint.safetensors");
  });
  resumed->load_checkpoint(folder_ / "checkpoint.safetensors");
  EXPECT_EQ(resumed->env_steps(), 240);
  resumed->train(480);
  EXPECT_EQ(saved(*resumed), saved(*whole));
  whole->train(80);
  resumed->train(80);
  EXPECT_EQ(saved(*resumed), saved(*whole));

  // What it learned is a policy of SAC's, loaded as any.
  const auto loaded = load_agent(folder_ / "agent.safetensors", *env, Streams(1));
  std::vector<double> a(4), b(4);
  resumed->act({.obs = std::array{-1.0, 0.0, 0.5, 1.0}}, a);
  loaded->act({.obs = std::array{-1.0, 0.0, 0.5, 1.0}}, b);
  EXPECT_EQ(a, b);

  EXPECT_THROW(Sac(*other, kShort, 5).load_checkpoint(folder_ / "checkpoint.safetensors"), Error)
      << "no imitator";
}

TEST_P(Imitators, EqualSeedsGiveEqualAgents) {
  data_ = record(folder_ / "d.hdf5", point_task(4), to_rest, 40);
  const auto actions_of = [&](std::uint64_t seed) {
    const auto env = make_toy(point_task(4));
    const auto agent = make(kShort, *env, seed);
    agent->train(160);
    std::vector<double> actions(3);
    agent->act({.obs = std::array{-1.0, 0.0, 1.0}}, actions);
    return actions;
  };
  EXPECT_EQ(actions_of(1), actions_of(1));
  EXPECT_NE(actions_of(1), actions_of(2));
}

INSTANTIATE_TEST_SUITE_P(All, Imitators, ::testing::Values("sqil", "gail", "airl", "iq_learn"),
                         [](const auto& of) { return std::string(of.param); });

// ---- DWBC ----

TEST(Dwbc, DiscriminatorTellsThePriorTimesTheRatio) {
  // Three rows with these shares; the minimum is d = eta p_expert / p_others.
  const torch::Tensor expert = torch::tensor({0.5, 0.3, 0.2}, torch::kFloat64),
                      others = torch::tensor({0.4, 0.3, 0.3}, torch::kFloat64);
  torch::Tensor logit = torch::zeros({3}, torch::kFloat64).set_requires_grad(true);
  const auto rows = [](const torch::Tensor& shares) {
    return torch::repeat_interleave(torch::arange(3), (shares * 10).round().to(torch::kLong));
  };
  torch::optim::LBFGS optimizer(
      {logit}, torch::optim::LBFGSOptions(1).max_iter(100).tolerance_grad(1e-10).tolerance_change(1e-14));
  optimizer.step([&] {
    optimizer.zero_grad();
    const torch::Tensor d = logit.sigmoid();
    const torch::Tensor loss =
        dwbc_discriminator_loss(d.index_select(0, rows(expert)), d.index_select(0, rows(others)), 0.5);
    loss.backward();
    return loss;
  });
  EXPECT_TRUE(torch::allclose(logit.sigmoid(), 0.5 * expert / others, 0, 1e-6)) << logit.sigmoid();
}

TEST(Dwbc, WeighsRowsByWhatTheDiscriminatorSays) {
  const torch::Tensor d = torch::tensor({0.1, 0.49, 0.5, 0.9});
  const DwbcWeights weights = dwbc_weights(d, d, 7.5, 0.5);
  EXPECT_TRUE(torch::allclose(weights.others, torch::tensor({0.0, 0.0, 1.0, 9.0})));
  EXPECT_NEAR(weights.expert[2].item<double>(), 6.5 - 2, 1e-6);
  EXPECT_NEAR(weights.expert[3].item<double>(), 6.5 - 0.5 / 0.09, 1e-5) << "positive everywhere";
}

class Weighted : public ::testing::Test {
 protected:
  /// Two instances of four go to rest, two away from it.
  std::string mixed() const {
    return record(
        folder_ / "mixed.hdf5", point_task(4),
        [k = 0](double x) mutable { return k++ % 4 < 2 ? to_rest(x) : -to_rest(x); }, 1120);
  }
  std::string expert(std::function<double(double)> law) const {
    return record(folder_ / "expert.hdf5", point_task(1), std::move(law), 70);
  }
  static double earned(Agent& agent) {
    const auto env = make_toy(point_task(4));
    double sum = 0;
    for (const EpisodeOutcome& outcome : evaluate_agent(*env, agent, 128, 1))
      sum += outcome.task_return / 128;
    return sum;
  }
  DwbcConfig config(const std::string& expert_data) const {
    DwbcConfig config{.expert_data = expert_data, .discriminator_hidden = {32}, .discriminator_lr = 3e-3};
    config.bc.data = mixed();
    config.bc.hidden = {32};
    config.bc.batch = 64;
    config.bc.lr = 3e-3;
    return config;
  }
  double cloned(const std::string& expert_data) const {
    const auto env = make_toy(point_task(4));
    const auto agent = make_learner(config(expert_data), *env, 0, "cpu");
    agent->train(1200);
    return earned(*agent);
  }
  const TemporaryFolder folder_;
};

TEST_F(Weighted, ClonesOfMixedDataWhatIsLikeTheExperts) {
  const auto env = make_toy(point_task(4));
  Law best(to_rest);
  const double optimum = earned(best);
  EXPECT_GT(cloned(expert(to_rest)), optimum - 0.1) << "the optimum is " << optimum;
  EXPECT_LT(cloned(expert([](double x) { return -to_rest(x); })), optimum - 1) << "an expert in the opposite";
  Bc plain(*env, {.data = mixed(), .hidden = {32}, .batch = 64, .lr = 3e-3});
  plain.train(600);
  EXPECT_LT(earned(plain), optimum - 0.3) << "all of it";
}

TEST_F(Weighted, GoesOnFromACheckpointToTheSameBytes) {
  DwbcConfig settings = config(expert(to_rest));
  settings.bc.report_every = 20;
  const auto saved = [&](Bc& agent) {
    agent.save(folder_ / "agent.safetensors");
    return read_file(folder_ / "agent.safetensors");
  };
  const auto env = make_toy(point_task(4));
  const auto whole = make_learner(settings, *env, 5, "cpu"), resumed = make_learner(settings, *env, 5, "cpu");
  int reports = 0;
  std::map<std::string, double> details;
  whole->train(100, [&](const TrainingMetrics& metrics) {
    details = metrics.details;
    if (++reports == 2) whole->save_checkpoint(folder_ / "checkpoint.safetensors");
  });
  EXPECT_EQ(details.count("discriminator_loss") + details.count("data_cloned") + details.count("loss"), 3u);
  resumed->load_checkpoint(folder_ / "checkpoint.safetensors");
  EXPECT_EQ(resumed->env_steps(), 40);
  resumed->train(100);
  EXPECT_EQ(saved(*resumed), saved(*whole));
  // What it learned is a clone, loaded as any.
  const auto loaded = load_agent(folder_ / "agent.safetensors", *env, Streams(1));
  EXPECT_EQ(earned(*loaded), earned(*whole));
  EXPECT_THROW(make_learner(settings, *env, 6, "cpu")->load_checkpoint(folder_ / "checkpoint.safetensors"),
               Error);
}

TEST_F(Weighted, NamesWhatIsMissing) {
  const auto env = make_toy(point_task(1));
  const auto message = [&](const DwbcConfig& settings) {
    return message_of<Error>([&] { make_learner(settings, *env, 0, "cpu"); });
  };
  EXPECT_EQ(message({}), "expert_data: imitation needs demonstrations");
  DwbcConfig settings = config(expert(to_rest));
  settings.episodes = 11;
  EXPECT_THAT(message(settings), HasSubstr("expert.hdf5: expected 11 episodes, found 10"));
  settings.episodes = 1;
  settings.bc.data = "";
  EXPECT_THAT(message(settings), HasSubstr("data: behaviour cloning needs a data set"));
}

// ---- data that does not fit ----

TEST(Demonstrations, AreTheFirstEpisodesAskedFor) {
  const TemporaryFolder folder;
  const std::string data = record(folder / "d.hdf5", point_task(1), to_rest, 28);
  const EnvSpec& spec = make_toy(point_task(1))->spec();
  EXPECT_EQ(remember_demonstrations(data, 0, spec, true).size(), 28u);
  EXPECT_EQ(remember_demonstrations(data, 2, spec, true).size(), 14u);
  EXPECT_THAT(message_of<Error>([&] { remember_demonstrations(data, 5, spec, true); }),
              HasSubstr("d.hdf5: expected 5 episodes, found 4"));
}

TEST(Demonstrations, AreCheckedAndNamed) {
  const TemporaryFolder folder;
  const auto env = make_toy(point_task(1));
  const auto message = [&](const SqilConfig& config, VectorEnv& of) {
    return message_of<Error>([&] { make_learner(config, of, 0, "cpu"); });
  };
  EXPECT_EQ(message({}, *env), "data: imitation needs demonstrations");
  EXPECT_THAT(message({{.data = (folder / "none.hdf5").string()}}, *env), HasSubstr("none.hdf5"));
  const std::string data = record(folder / "d.hdf5", point_task(1), to_rest, 14);
  const auto robot = make_vector("Hopper-v5", {.autoreset = "same_step"});
  EXPECT_THAT(message({{.data = data}}, *robot),
              HasSubstr("expected rows of Hopper-v5's 11 observations and 3 actions, found 1 and 1"));
  EXPECT_THAT(message({{.data = data, .sac = {.n_step = 3}}}, *env), HasSubstr("n_step: expected 1"));
  EXPECT_THAT(message({{.data = data, .sac = {.batch = 15}}}, *env),
              HasSubstr("batch: expected an even number"));

  Dataset::Columns columns{.observation_dim = 1,
                           .action_dim = 1,
                           .observations = {0, 0},
                           .next_observations = {0, 0},
                           .actions = {0, std::nanf("")},
                           .rewards = {0, 0},
                           .terminals = {0, 0},
                           .timeouts = {0, 1},
                           .infos = {}};
  Dataset::from_columns(columns).write_d4rl(folder / "nan.hdf5");
  EXPECT_THAT(message({{.data = (folder / "nan.hdf5").string()}}, *env),
              HasSubstr("nan.hdf5: actions, row 1: expected finite numbers, found nan"));
}

TEST(Demonstrations, OfARobotThatFallsMustSayWhereItFell) {
  const TemporaryFolder folder;
  const auto env = make_vector("Hopper-v5", {.count = 2, .autoreset = "same_step"});
  const auto agent = make_agent("random", {}, *env, Streams(Purpose::kController, 0));
  const Dataset told = collect(*env, *agent, 400, {.behaviour = "random"}, folder / "told.hdf5");
  EXPECT_EQ(remember_demonstrations(told.path().string(), 0, env->spec(), true).size(), 400u);
  // The same recording, whose falls look like cuts.
  Dataset::Columns columns;
  columns.observation_dim = told.observation_dim();
  columns.action_dim = told.action_dim();
  const auto copy = [](auto& to, auto from) { to.assign(from.begin(), from.end()); };
  copy(columns.observations, told.observations());
  copy(columns.next_observations, told.next_observations());
  copy(columns.actions, told.actions());
  copy(columns.rewards, told.rewards());
  columns.terminals.assign(told.size(), 0);
  for (std::size_t i = 0; i < told.size(); ++i)
    columns.timeouts.push_back(told.terminals()[i] || told.timeouts()[i]);
  for (const char* name : {"qpos", "qvel"}) {
    columns.infos.push_back({name, told.info_dim(name), {}});
    copy(columns.infos.back().values, told.info(name));
    copy(columns.infos.back().doubles, told.info_doubles(name));
  }
  Dataset::from_columns(columns, told.provenance()).write_d4rl(folder / "untold.hdf5");
  EXPECT_THAT(message_of<Error>(
                  [&] { remember_demonstrations((folder / "untold.hdf5").string(), 0, env->spec(), true); }),
              HasSubstr("untold.hdf5: terminals: expected a mark on an episode's last row, which is a fall"));
}

}  // namespace
}  // namespace diffreward
