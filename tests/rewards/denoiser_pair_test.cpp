// Rewards that are a pair of denoisers: what they begin as, that they learn, what files of them hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <cmath>

#include "agents/device.h"
#include "agents/diffusion/diffusion_model.h"
#include "core/progress.h"
#include "core/rng.h"
#include "rewards/relative/relative_reward.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/closed_form.h"
#include "tests/rewards/toy_data.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using testing::MixtureModel;

const bool kOneThread = (set_torch_threads(1), true);
constexpr int kHorizon = 3, kTimesteps = 12;

/// Walks whose rows follow each other, drawn to (goal, goal).
Dataset walks(double goal, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::vector<std::array<float, 4>>> episodes(24);
  for (auto& episode : episodes) {
    double x = rng.normal(), y = rng.normal();
    for (int i = 0; i < 20; ++i) {
      const double vx = 0.3 * (goal - x) + 0.2 * rng.normal(), vy = 0.3 * (goal - y) + 0.2 * rng.normal();
      x += vx, y += vy;
      episode.push_back({float(x), float(y), float(vx), float(vy)});
    }
  }
  return dataset_of(episodes);
}

struct Pair {
  Dataset base_data = walks(0, 1), expert_data = walks(1, 2);
  DiffusionModel base, expert;
  explicit Pair(const std::string& prediction)
      : base(train_diffusion(base_data,
                             {.horizon = kHorizon,
                              .stride = 1,
                              .actions = false,
                              .normalizer = "gaussian",
                              .timesteps = kTimesteps,
                              .prediction = prediction,
                              .dim = 32,
                              .layers = 2},
                             {.steps = 300, .batch = 64, .held_out = 0})),
        expert(train_diffusion(expert_data, base.config(), {.steps = 300, .batch = 64, .held_out = 0}, {},
                               &base)) {}
};

class DenoiserPairTest : public ::testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() { Progress::silence(); }
  static ExtractConfig config() {
    return {.net = "denoisers",
            .gradient_at = "x_t",
            .steps = 100,
            .batch = 16,
            .lr = 0,
            .read_t = 1,
            .support_points = 64};
  }
};

TEST_P(DenoiserPairTest, BeginsAsTheProductWithTheDifferenceOfTheModels) {
  const Pair models(GetParam());
  const auto reward = extract(models.expert, models.base, models.expert_data, models.base_data, config());
  torch::Generator rng = at::detail::createCPUGenerator(3);
  const torch::Tensor x = torch::randn({5, kHorizon, 4}, rng);
  const torch::NoGradGuard no_grad;
  for (const int level : {0, 5, kTimesteps - 1}) {
    const torch::Tensor t = torch::full({5}, level, torch::kLong);
    const torch::Tensor expected =
        (x * (models.expert.posterior_mean(x, t) - models.base.posterior_mean(x, t))).flatten(1).sum(1) /
        reward->unit(level);
    EXPECT_LT((reward->value(x, t) - expected).abs().max().item<double>(),
              2e-3 * expected.abs().max().item<double>())
        << level;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryPrediction, DenoiserPairTest, ::testing::Values("x0", "epsilon", "v"),
                         [](const auto& test) { return test.param; });

TEST_F(DenoiserPairTest, ExplainsTheFieldBetterThanAnMlpOfAsManySteps) {
  const Pair models("x0");
  const auto explained = [&](const std::string& net) {
    ExtractConfig settings = config();
    settings.net = net;
    settings.window = net == "mlp" ? kHorizon : 1;
    settings.batch = 64;
    settings.lr = 1e-3;
    const auto reward = extract(models.expert, models.base, models.expert_data, models.base_data, settings);
    return reward->field_report()[2].conservativeness;
  };
  const double pair = explained("denoisers"), mlp = explained("mlp");
  EXPECT_GT(pair, 0.85);
  EXPECT_GT(pair, mlp + 0.05);
}

TEST_F(DenoiserPairTest, ShuffledTargetsBeginWithNothing) {
  // What they learn is the field's mean, which in these walks is 0.4 of its energy.
  const Pair models("x0");
  ExtractConfig settings = config();
  settings.lr = 1e-3;
  settings.null = "shuffled";
  const auto reward = extract(models.expert, models.base, models.expert_data, models.base_data, settings);
  EXPECT_LT(reward->field_report()[2].conservativeness, 0.6);
}

TEST_F(DenoiserPairTest, FilesHoldEverything) {
  const Pair models("x0");
  const TemporaryFolder folder;
  const auto reward = extract(models.expert, models.base, models.expert_data, models.base_data, config());
  reward->save(folder / "reward.safetensors");
  const auto again = RelativeReward::load(folder / "reward.safetensors");
  std::vector<float> windows, there, here;
  Rng rng(4);
  for (int i = 0; i < 6 * kHorizon * 4; ++i) windows.push_back(static_cast<float>(rng.normal()));
  there.resize(6), here.resize(6);
  reward->score(windows, there);
  again->score(windows, here);
  EXPECT_EQ(there, here);
}

TEST_F(DenoiserPairTest, NamesWhatDoesNotFit) {
  const NoiseSchedule schedule("cosine", 20);
  const MixtureModel expert({{1, {1, 1}, {1, 0, 0, 1}}}, 1, schedule),
      base({{1, {0, 0}, {1, 0, 0, 1}}}, 1, schedule);
  const auto message = [](const auto& run) -> std::string {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message([&] { extract(expert, base, expert.data(50, 1), base.data(50, 2), config()); }),
              HasSubstr("net: denoisers are those of trained diffusion models"));
  ExtractConfig some = config();
  some.channels = {0};
  const Pair models("x0");
  EXPECT_THAT(
      message([&] { extract(models.expert, models.base, models.expert_data, models.base_data, some); }),
      HasSubstr("channels: expected none"));
}

}  // namespace
}  // namespace diffreward
