#include "rewards/discriminator/discriminator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

#include "core/progress.h"
#include "core/statistics.h"
#include "rewards/catalog.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

using testing::MixtureModel;
using testing::noised_samples;
using testing::numbers;

const NoiseSchedule kSchedule("cosine", 50);
const MixtureModel kBase({{1, {0.0, 0.0}, {0.30, 0.10, 0.10, 0.20}}}, 2, kSchedule);
const MixtureModel kExpert({{1, {0.4, -0.2}, {0.20, -0.05, -0.05, 0.15}}}, 2, kSchedule);

std::shared_ptr<Discriminator> trained(const std::filesystem::path& folder = {}) {
  Progress::silence();
  ExtractConfig config;
  config.batch = 256;
  config.steps = 800;
  return train_discriminator(kBase, kExpert.data(4000, 1), kBase.data(4000, 2), config, folder);
}

TEST(Discriminator, SeparatesAPairAlmostAsWellAsItsLikelihoodRatio) {
  const auto logit = trained();
  for (const int t : {0, 5, 20}) {
    const auto at = noised_samples(kExpert, kBase, 4000, t, 9);
    const std::vector<double> learned = numbers(logit->value(at.x_t, at.t));
    const std::vector<double> truth =
        numbers(kExpert.log_density(at.x_t, at.t) - kBase.log_density(at.x_t, at.t));
    const auto area = [](const std::vector<double>& values) {
      return auroc(std::span(values).first(2000), std::span(values).last(2000));
    };
    EXPECT_GT(area(truth), 0.6) << t;
    EXPECT_GT(area(learned), area(truth) - 0.02) << t;
    EXPECT_GT(pearson(learned, truth), 0.95) << t;
    EXPECT_NEAR(mean(learned), mean(truth), 0.3) << "the logit is in nats, t " << t;
  }
}

TEST(Discriminator, SaveLoadAndForeignFiles) {
  const auto folder = std::filesystem::temp_directory_path() / "discriminator_test";
  std::filesystem::remove_all(folder);
  const auto logit = trained(folder);
  EXPECT_TRUE(std::filesystem::exists(folder / "metrics.jsonl"));
  const auto loaded = Discriminator::load(folder / "reward.safetensors");
  const auto at = noised_samples(kExpert, kBase, 100, 5, 3);
  EXPECT_TRUE(torch::equal(logit->value(at.x_t, at.t), loaded->value(at.x_t, at.t)));
  EXPECT_TRUE(
      torch::allclose(logit->gradient(at.x_t, at.t), logit->Guide::gradient(at.x_t, at.t), 1e-4, 1e-5));

  const LearnedReward any = load_reward(folder / "reward.safetensors");
  EXPECT_EQ(any.relative, nullptr);
  EXPECT_TRUE(torch::equal(any.guide->value(at.x_t, at.t), loaded->value(at.x_t, at.t)));
  EXPECT_EQ(read_reward(any, {}), any.model);
  EXPECT_THROW(read_reward(any, {.reading = "density_ratio"}), InvalidArgument);
  EXPECT_THROW(read_reward(any, {.t = 3}), InvalidArgument);
  EXPECT_THROW(load_reward(folder / "metrics.jsonl"), Error);

  std::vector<float> windows(10 * 2, 0.1f), scores(10), more(10);
  loaded->score(windows, scores);
  logit->score_at(logit->config().read_t, windows, more);
  EXPECT_EQ(scores, more);
  EXPECT_EQ(loaded->layout().horizon, 1);
  EXPECT_EQ(loaded->reads(), Reads::kReached);
  try {
    RelativeReward::load(folder / "reward.safetensors");
    FAIL() << "a discriminator is no relative reward";
  } catch (const Error& error) {
    EXPECT_THAT(
        error.what(),
        ::testing::HasSubstr("expected diffreward-relative-reward-2, found 'diffreward-discriminator-1'"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace diffreward
