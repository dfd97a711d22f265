#include "rewards/nearest/nearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "core/file.h"
#include "rewards/catalog.h"
#include "rewards/relative/sample_source.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

/// Rows [a, x, y]; the expert's stand at (x, y) = (1, 2) and (3, -2) in data units, halved in model units.
NearestReward two_points() {
  return {{.action_dim = 1, .observation_dim = 2},
          Normalizer("gaussian", {0, 0, 0}, {2, 2, 2}),
          {1, 2},
          {0.5f, 1.0f, 1.5f, -1.0f}};
}

TEST(NearestReward, PaysMinusTheDistanceToTheNearestRow) {
  const NearestReward reward = two_points();
  EXPECT_EQ(reward.reads(), Reads::kReached);
  const std::vector<float> rows = {9, 1, 2, 9, 1, 3, 9, 3, -1};
  std::vector<float> paid(3);
  reward.score(rows, paid);
  EXPECT_THAT(paid, ::testing::Pointwise(::testing::FloatNear(1e-6f), {0.0f, -0.5f, -0.5f}));
}

TEST(NearestReward, IsTheSameFromItsFileAndInTheCatalog) {
  const TemporaryFolder folder;
  two_points().save(folder / "reward.safetensors");
  const LearnedReward loaded = load_reward(folder / "reward.safetensors");
  EXPECT_EQ(reward_entry("nearest").kind, NearestReward::kKind);
  EXPECT_EQ(loaded.guide, nullptr) << "it has no gradient that could lead samples";
  std::vector<float> a(1), b(1);
  const std::vector<float> row = {0, 0.3f, 0.7f};
  two_points().score(row, a);
  loaded.model->score(row, b);
  EXPECT_EQ(a, b);

  const std::string whole = read_file(folder / "reward.safetensors");
  write_file(folder / "reward.safetensors", std::string_view(whole).substr(0, whole.size() - 4));
  EXPECT_THAT(message_of<Error>([&] { load_reward(folder / "reward.safetensors"); }),
              HasSubstr("reward.safetensors"));
}

TEST(NearestReward, KeepsTheExpertsRowsInItsChannels) {
  const WindowLayout layout{.horizon = 2, .action_dim = 1, .observation_dim = 2};
  const Normalizer normalizer("gaussian", {0, 0, 0}, {1, 1, 1});
  // Expert rows at x = 1 ... 8, y = -x; the base's are far away. The last quarter is held out.
  std::vector<float> expert, base;
  for (float x = 1; x <= 4; ++x) {
    for (const float row : {2 * x - 1, 2 * x}) expert.insert(expert.end(), {9, row, -row});
    base.insert(base.end(), {0, 100, 100, 0, 100, 100});
  }
  const auto windows = windows_of(expert, base, layout, normalizer, 0.25);
  class Like final : public WindowModel {
   public:
    Like(WindowLayout layout, Normalizer normalizer) : layout_(layout), normalizer_(std::move(normalizer)) {}
    const WindowLayout& layout() const override { return layout_; }
    const Normalizer& normalizer() const override { return normalizer_; }
    const NoiseSchedule& schedule() const override { return schedule_; }
    const std::string& device() const override { return device_; }
    at::Tensor predict_x0(const at::Tensor& x, const at::Tensor&) const override { return x; }

   private:
    WindowLayout layout_;
    Normalizer normalizer_;
    NoiseSchedule schedule_{std::vector<double>{0.1, 0.2}};
    std::string device_ = "cpu";
  } like(layout, normalizer);
  const auto reward = fit_nearest(like, *windows, {.channels = {1}, .support_points = 200});
  std::vector<float> paid(3);
  reward->score(std::vector<float>{0, 3, 50, 0, 6, 50, 0, 8, 50}, paid);
  EXPECT_THAT(paid, ::testing::ElementsAre(0, 0, -2)) << "held out rows, 7 and 8, are not kept";
  EXPECT_THROW(fit_nearest(like, *windows, {.channels = {3}}), InvalidArgument);
}

TEST(WindowsOf, MemoryAreSplitDrawnAndRefused) {
  const WindowLayout layout{.horizon = 3, .observation_dim = 1};
  const Normalizer normalizer("gaussian", {1}, {2});
  std::vector<float> expert, base;
  for (int i = 0; i < 10; ++i)
    for (int row = 0; row < 3; ++row)
      expert.push_back(float(10 * i + row)), base.push_back(float(-10 * i - row));
  const auto windows = windows_of(expert, base, layout, normalizer, 0.2);
  EXPECT_EQ(windows->shape(), (std::vector<std::int64_t>{3, 1}));
  Rng rng(Seed(1));
  std::vector<float> window(3);
  for (int draw = 0; draw < 100; ++draw) {
    windows->draw(Side::kExpert, draw % 2 ? Part::kHeldOut : Part::kTrain, rng, window);
    const float first = 2 * window[0] + 1;  // data units
    EXPECT_FLOAT_EQ(2 * window[2] + 1, first + 2);
    EXPECT_EQ(first >= 80, draw % 2 == 1) << "the last two windows are held out";
  }
  const std::vector<float> rows = windows->base_windows(50, 2, Part::kTrain, rng);
  ASSERT_EQ(rows.size(), 100u);
  for (std::size_t i = 0; i < 100; i += 2)
    EXPECT_EQ(rows[i + 1], rows[i] - 1) << "contiguous rows, data units";
  EXPECT_THROW(windows_of(expert, {1, 2}, layout, normalizer, 0.2), InvalidArgument);
  EXPECT_THROW(windows_of(expert, {1, 2, 3}, layout, normalizer, 0.2), InvalidArgument) << "none to train on";
  EXPECT_THROW(windows_of(expert, base, layout, normalizer, 0), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
