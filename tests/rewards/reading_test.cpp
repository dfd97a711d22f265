// Readings against their formulas, on the reward of two Gaussians known in closed form.
#include "rewards/reading.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "core/progress.h"
#include "rewards/relative/sample_source.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

using testing::MixtureModel;

class ReadingTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Progress::silence();
    const NoiseSchedule schedule("cosine", 20);
    const MixtureModel expert({{1, {1, 1}, {1, 0, 0, 1}}}, 1, schedule),
        base({{1, {0, 0}, {1, 0, 0, 1}}}, 1, schedule);
    reward_ = extract(expert, base, expert.data(2000, 1), base.data(2000, 2),
                      {.hidden = {16}, .steps = 200, .read_t = 2, .support_points = 512});
    // A diagonal through the base data and far beyond it.
    for (double x = -8; x <= 8; x += 0.25) windows_.insert(windows_.end(), 2, static_cast<float>(x));
  }
  static void TearDownTestSuite() {
    reward_.reset();
    windows_.clear();
  }

  static std::vector<float> scores(const RewardModel& model) {
    std::vector<float> out(windows_.size() / 2);
    model.score(windows_, out);
    return out;
  }
  static std::vector<float> read(const ReadingConfig& config) {
    return scores(*read_reward(reward_, config));
  }

  static std::shared_ptr<RelativeReward> reward_;
  static std::vector<float> windows_;  // [n, 1, 2]
};
std::shared_ptr<RelativeReward> ReadingTest::reward_;
std::vector<float> ReadingTest::windows_;

TEST_F(ReadingTest, PlainIsTheRewardItself) {
  EXPECT_EQ(read({}), scores(*reward_));
  std::vector<float> later(windows_.size() / 2);
  reward_->score_at(7, windows_, later);
  EXPECT_EQ(read({.t = 7}), later);
  EXPECT_NE(read({.t = 7}), read({}));
}

TEST_F(ReadingTest, ShapedIsTheGrowthOfPlainRhoOverAStep) {
  // Rows that a step apart are neighbours on the diagonal.
  std::vector<float> steps;
  for (std::size_t i = 2; i < windows_.size(); i += 2)
    steps.insert(steps.end(), windows_.begin() + std::ptrdiff_t(i) - 2,
                 windows_.begin() + std::ptrdiff_t(i) + 2);
  const auto shaped = read_reward(reward_, {.reading = "shaped"});
  EXPECT_EQ(shaped->layout().horizon, 2);
  EXPECT_EQ(shaped->layout().stride, 1);
  std::vector<float> growth(steps.size() / 4);
  shaped->score(steps, growth);
  const std::vector<float> rho = scores(*reward_);
  for (std::size_t i = 0; i < growth.size(); ++i)
    EXPECT_NEAR(growth[i], rho[i + 1] - rho[i], 1e-5 * std::abs(rho[i]) + 1e-6);
}

TEST_F(ReadingTest, ShapedReadsTheWindowsThatEndWithTheStepAndBeforeIt) {
  const NoiseSchedule schedule("cosine", 20);
  const MixtureModel expert({{1, {1, 1}, {1, 0, 0, 1}}}, 3, schedule),
      base({{1, {0, 0}, {1, 0, 0, 1}}}, 3, schedule);
  auto reward = extract(expert, base, expert.data(200, 1), base.data(200, 2),
                        {.window = 3, .hidden = {16}, .steps = 20, .support_points = 64});
  const auto shaped = read_reward(reward, {.reading = "shaped"});
  const int stride = reward->layout().stride;
  ASSERT_EQ(shaped->layout().horizon, 2 * stride + 2);
  std::vector<float> path;
  Rng rng(3);
  for (int row = 0; row < shaped->layout().horizon; ++row)
    for (int k = 0; k < 2; ++k) path.push_back(static_cast<float>(rng.normal()));
  const auto window = [&](int first) {
    std::vector<float> out;
    for (int row = 0; row < 3; ++row)
      for (int k = 0; k < 2; ++k) out.push_back(path[std::size_t(2 * (first + row * stride) + k)]);
    return out;
  };
  std::vector<float> growth(1), before(1), after(1);
  shaped->score(path, growth);
  reward->score(window(0), before);
  reward->score(window(1), after);
  EXPECT_FLOAT_EQ(growth[0], after[0] - before[0]);
}

TEST_F(ReadingTest, DensityRatioFollowsItsFormula) {
  const RelativeReward::BaseStatistics base = reward_->base_statistics();
  const std::vector<float> rho = scores(*reward_), paid = read({.reading = "density_ratio", .beta = 3});
  int above = 0;
  for (std::size_t i = 0; i < rho.size(); ++i) {
    const double z = (double{rho[i]} - base.mean) / base.deviation,
                 z99 = (base.q99 - base.mean) / base.deviation;
    const double expected = std::exp(3 * (z - z99));
    EXPECT_NEAR(double{paid[i]}, expected, 1e-5 * expected);
    above += expected > 1;
  }
  EXPECT_GT(above, 0);
}

TEST_F(ReadingTest, DensityRatioStaysFinite) {
  for (const float paid : read({.reading = "density_ratio", .beta = 1000})) EXPECT_TRUE(std::isfinite(paid));
}

TEST_F(ReadingTest, SupportPaysNothingWhereTheBaseHasNoMass) {
  const std::vector<float> ratio = read({.reading = "density_ratio"});
  const std::vector<float> paid = read({.reading = "support", .alpha = 0.05});
  std::vector<float> p_value(ratio.size());
  reward_->support(windows_, p_value);
  for (std::size_t i = 0; i < ratio.size(); ++i)
    EXPECT_EQ(paid[i], double{p_value[i]} >= 0.05 ? ratio[i] : 0.0f) << "at " << windows_[2 * i];
  EXPECT_GT(ratio.back(), 1) << "the ratio extrapolates";
  EXPECT_EQ(paid.back(), 0) << "8 deviations from the base data";
  EXPECT_GT(paid[paid.size() / 2], 0) << "at the base data's mean";
  EXPECT_EQ(read({.reading = "support", .alpha = 0}), ratio);
}

TEST_F(ReadingTest, CentredHasNoMeanAndUnitDeviationOnBaseData) {
  const RelativeReward::BaseStatistics base = reward_->base_statistics();
  const std::vector<float> rho = scores(*reward_), paid = read({.reading = "centred"});
  for (std::size_t i = 0; i < rho.size(); ++i)
    EXPECT_NEAR(double{paid[i]}, (double{rho[i]} - base.mean) / base.deviation, 1e-4);
}

TEST_F(ReadingTest, NullsKnowNothingOrTheOpposite) {
  const std::vector<float> rho = scores(*reward_), negated = read({.reading = "negated"});
  for (std::size_t i = 0; i < rho.size(); ++i) EXPECT_EQ(negated[i], -rho[i]);
  for (const float paid : read({.reading = "survival"})) EXPECT_EQ(paid, 1);
  EXPECT_EQ(read_reward(reward_, {.reading = "survival"})->terminal(), 0);
}

/// Windows whose sides spend these shares of their time fallen.
class Falling final : public WindowSource {
 public:
  Falling(std::unique_ptr<WindowSource> from, const WindowLayout& layout, double expert, double base)
      : WindowSource(layout), from_(std::move(from)), expert_(expert), base_(base) {}
  void draw(Side side, Part part, Rng& rng, std::span<float> out) const override {
    from_->draw(side, part, rng, out);
  }
  std::vector<float> base_windows(int n, int rows, Part part, Rng& rng) const override {
    return from_->base_windows(n, rows, part, rng);
  }
  std::optional<double> fallen(Side side) const override { return side == Side::kExpert ? expert_ : base_; }

 private:
  std::unique_ptr<WindowSource> from_;
  double expert_, base_;
};

/// Of exact densities the alive part of the absorbing reading is log p_expert / p_base + log((1 - f_E) / (1 - f_B)).
TEST_F(ReadingTest, AbsorbingIsALogDensityRatioOfTimeThatGoesOn) {
  const NoiseSchedule schedule("cosine", 20);
  const MixtureModel expert({{1, {0.5, 0}, {1, 0, 0, 1}}}, 1, schedule),
      base({{1, {0, 0}, {1, 0, 0, 1}}}, 1, schedule);
  const Falling source(
      windows_of(expert.data(2000, 1), base.data(4000, 2), base.layout(), base.normalizer(), 0.1, 1),
      base.layout(), 0.02, 0.4);
  const auto rho =
      extract(expert, base, source, {.hidden = {32}, .gradient_at = "x_t", .steps = 1500, .read_t = 0});
  ASSERT_TRUE(rho->fallen());
  const auto folder = TemporaryFolder();
  rho->save(folder / "reward.safetensors");
  const auto paid = read_reward(RelativeReward::load(folder / "reward.safetensors"),
                                {.reading = "absorbing", .discount = 0.9});
  EXPECT_NEAR(paid->terminal(), std::log(0.02 / 0.4) / 0.1, 1e-9);
  for (const float x : {-1.F, 0.F, 1.F}) {
    const std::vector<float> window = {x, 0.3F};
    std::vector<float> out(1);
    paid->score(window, out);
    // At t = 0 the densities are nearly those of the data: 0.5 x - 0.125.
    EXPECT_NEAR(out[0], 0.5 * x - 0.125 + std::log(0.98 / 0.6), 0.15) << x;
  }
  EXPECT_THROW(read_reward(reward_, {.reading = "absorbing"}), InvalidArgument) << "no limit is known";
}

TEST_F(ReadingTest, ForwardsWhatTheRewardReads) {
  const auto reading = read_reward(reward_, {.reading = "support"});
  EXPECT_EQ(reading->layout(), reward_->layout());
  EXPECT_EQ(reading->reads(), reward_->reads());
}

TEST_F(ReadingTest, RefusesWhatItCannotMean) {
  EXPECT_THROW(read_reward(nullptr, {}), InvalidArgument);
  EXPECT_THROW(read({.reading = "loud"}), InvalidArgument);
  EXPECT_THROW(read({.t = 20}), InvalidArgument);
  EXPECT_THROW(read({.reading = "density_ratio", .t = 3}), InvalidArgument);
  EXPECT_NO_THROW(read({.reading = "density_ratio", .t = 2}));
}

}  // namespace
}  // namespace diffreward
