// Diffuser's value function on recordings whose returns are known.
#include "rewards/value/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/progress.h"
#include "core/statistics.h"
#include "rewards/catalog.h"
#include "rewards/relative/sample_source.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/closed_form.h"
#include "tests/rewards/toy_data.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

/// Episodes of four rows that stand at x: every step earns x.
Dataset standing(int episodes, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::vector<std::array<float, 4>>> out;
  for (int e = 0; e < episodes; ++e) {
    const auto x = static_cast<float>(rng.normal()), y = static_cast<float>(rng.normal());
    out.emplace_back(4, std::array<float, 4>{x, y, 0, 0});
  }
  return dataset_of(out, [](const std::array<float, 4>& row) { return row[0]; });
}

class ValueTest : public ::testing::Test {
 protected:
  void SetUp() override { Progress::silence(); }
  const NoiseSchedule schedule{"cosine", 20};
  const testing::MixtureModel model{
      {{1, {0, 0, 0, 0}, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}}}, 1, schedule};
  const Dataset data = standing(600, 1);
  const ExtractConfig config{
      .hidden = {32}, .expert_share = 0, .steps = 800, .batch = 128, .discount = 0.5, .read_t = 0};
};

TEST_F(ValueTest, DrawsTellWhatIsEarnedToTheEndOfTheEpisode) {
  const auto source = windows_of(data, data, model.layout(), model.normalizer(), 0.1, 3);
  Rng rng(Seed(2));
  std::vector<float> row(4);
  std::vector<double> ratios;
  for (int i = 0; i < 200; ++i) {
    const double paid = source->draw_paid(Side::kBase, Part::kTrain, rng, 0.5, row);
    ratios.push_back(paid / double{row[0]});
  }
  // 1, 1.5, 1.75 or 1.875 times x, for the last row to the first.
  for (const double ratio : ratios)
    EXPECT_LT(std::min({std::abs(ratio - 1), std::abs(ratio - 1.5), std::abs(ratio - 1.75),
                        std::abs(ratio - 1.875)}),
              1e-4);
  EXPECT_NEAR(mean(ratios), (1 + 1.5 + 1.75 + 1.875) / 4, 0.06);
}

TEST_F(ValueTest, LearnsWhatWindowsEarnAndLeadsThere) {
  const TemporaryFolder folder;
  const auto source = windows_of(data, data, model.layout(), model.normalizer(), 0.1, 3);
  train_value(model, *source, config, folder.path());
  const LearnedReward loaded = load_reward(folder / "reward.safetensors");
  ASSERT_NE(loaded.guide, nullptr);
  EXPECT_EQ(loaded.log_ratio, nullptr) << "it compares no two sides";
  std::vector<float> windows;
  std::vector<double> x;
  for (double at = -1.5; at <= 1.5; at += 0.1) {
    windows.insert(windows.end(), {static_cast<float>(at), 0.2F, 0, 0});
    x.push_back(at);
  }
  std::vector<float> scores(x.size());
  loaded.model->score(windows, scores);
  EXPECT_GT(pearson(std::vector<double>(scores.begin(), scores.end()), x), 0.98);
  const torch::Tensor here = torch::zeros({1, 1, 4}), t = torch::zeros({1}, torch::kLong);
  const torch::Tensor gradient = loaded.guide->gradient(here, t)[0][0];
  EXPECT_GT(gradient[0].item<double>(), 0.5);
  EXPECT_LT(gradient[1].abs().item<double>(), 0.3);
}

TEST_F(ValueTest, RefusesWindowsThatTellNoRewards) {
  const std::vector<float> rows(40, 1.0F);
  const auto silent = windows_of(rows, rows, model.layout(), model.normalizer(), 0.5);
  EXPECT_THAT(message_of<Error>([&] { train_value(model, *silent, config); }),
              HasSubstr("expected recordings with the task's rewards"));
}

}  // namespace
}  // namespace diffreward
