// What every reward promises (rewards/reward_model.h): relative rewards of each net, the discriminator, and
// each way of paying them out. A reward's own test holds only what is particular to it.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <thread>

#include "core/progress.h"
#include "rewards/discriminator/discriminator.h"
#include "rewards/nearest/nearest.h"
#include "rewards/reading.h"
#include "rewards/relative/sample_source.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

using testing::MixtureModel;
using Model = std::shared_ptr<const RewardModel>;

/// Two kinds of behaviour, windows of 8 rows, and rewards of them after a few training steps.
struct Pair {
  NoiseSchedule schedule{"cosine", 20};
  MixtureModel expert{{{1, {1, 0.5}, {0.3, 0, 0, 0.3}}}, 8, schedule};
  MixtureModel base{{{1, {0, 0}, {1, 0.2, 0.2, 1}}}, 8, schedule};
  Dataset expert_data = expert.data(200, 1), base_data = base.data(200, 2);

  std::shared_ptr<RelativeReward> relative(ExtractConfig config) const {
    config.steps = 30;
    config.support_points = 128;
    return extract(expert, base, expert_data, base_data, config);
  }
  std::shared_ptr<Discriminator> discriminator() const {
    return train_discriminator(base, expert_data, base_data, {.hidden = {16}, .steps = 30});
  }
  std::shared_ptr<NearestReward> nearest() const {
    const auto windows = windows_of(expert_data, base_data, base.layout(), base.normalizer(), 0.1, 0);
    return fit_nearest(base, *windows, {.support_points = 64});
  }
};

struct Case {
  const char* name;
  Model (*make)(const Pair&);
  /// Saves the reward and loads it again; null for rewards that are decorators of another.
  Model (*reload)(const RewardModel&, const std::filesystem::path&);
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

template <class T>
Model reload(const RewardModel& reward, const std::filesystem::path& path) {
  dynamic_cast<const T&>(reward).save(path);
  return T::load(path);
}

template <int kWindow>
Model mlp(const Pair& pair) {
  return pair.relative({.window = kWindow, .hidden = {16}});
}
Model half_unet(const Pair& pair) {
  return pair.relative({.net = "unet", .dim = 1});
}
Model discriminator(const Pair& pair) {
  return pair.discriminator();
}
Model nearest(const Pair& pair) {
  return pair.nearest();
}
Model density_ratio(const Pair& pair) {
  return read_reward(pair.relative({.hidden = {16}}), {.reading = "density_ratio"});
}
Model shaped(const Pair& pair) {
  return read_reward(pair.relative({.window = 3, .hidden = {16}}), {.reading = "shaped"});
}
Model support(const Pair& pair) {
  return read_reward(pair.relative({.hidden = {16}}), {.reading = "support"});
}

class RewardContract : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { Progress::silence(); }
  void SetUp() override {
    static const Pair pair;
    static std::map<std::string, Model> made;  // training once serves all tests
    Model& reward = made[GetParam().name];
    if (!reward) reward = GetParam().make(pair);
    reward_ = reward;
    windows_ = windows(64);
  }

  std::vector<float> windows(std::size_t n) const {
    Rng rng(7);
    std::vector<float> out(n * size());
    for (float& value : out) value = static_cast<float>(1.5 * rng.normal());
    return out;
  }
  std::size_t size() const { return static_cast<std::size_t>(reward_->layout().size()); }
  std::vector<float> score(const std::vector<float>& of) const { return score(*reward_, of); }
  std::vector<float> score(const RewardModel& reward, const std::vector<float>& of) const {
    std::vector<float> out(of.size() / size());
    reward.score(of, out);
    return out;
  }

  Model reward_;
  std::vector<float> windows_;
};

TEST_P(RewardContract, TellsWindowsApartAndRepeatsItself) {
  const std::vector<float> first = score(windows_);
  EXPECT_NE(*std::ranges::min_element(first), *std::ranges::max_element(first));
  EXPECT_EQ(score(windows_), first);
}

TEST_P(RewardContract, ABatchEqualsOneByOne) {
  const std::vector<float> together = score(windows_);
  for (std::size_t i = 0; i < together.size(); ++i) {
    const auto begin = windows_.begin() + static_cast<std::ptrdiff_t>(i * size());
    const float alone = score({begin, begin + static_cast<std::ptrdiff_t>(size())})[0];
    EXPECT_NEAR(alone, together[i], 1e-5f * (1 + std::abs(together[i]))) << "window " << i;
  }
}

TEST_P(RewardContract, IsFiniteFarFromAllData) {
  for (const float scale : {0.0f, 1e3f, 1e6f}) {
    std::vector<float> far = windows_;
    for (float& value : far) value *= scale;
    for (const float value : score(far)) EXPECT_TRUE(std::isfinite(value)) << "at scale " << scale;
  }
}

TEST_P(RewardContract, CanBeAskedFromSeveralThreads) {
  const std::vector<float> expected = score(windows_);
  std::vector<std::vector<float>> found(4);
  std::vector<std::thread> threads;
  for (auto& one : found)
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) one = score(windows_);
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : found) EXPECT_EQ(one, expected);
}

TEST_P(RewardContract, AnEmptyBatchIsFine) {
  EXPECT_TRUE(score(std::vector<float>{}).empty());
}

TEST_P(RewardContract, SurvivesItsFile) {
  if (!GetParam().reload) GTEST_SKIP() << "a decorator, saved as its config";
  const auto folder = std::filesystem::path(::testing::TempDir()) / "reward_contract";
  std::filesystem::create_directories(folder);
  const Model loaded = GetParam().reload(*reward_, folder / "reward.safetensors");
  EXPECT_EQ(loaded->layout(), reward_->layout());
  EXPECT_EQ(loaded->reads(), reward_->reads());
  EXPECT_EQ(score(*loaded, windows_), score(windows_));
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(AllRewards, RewardContract,
                         ::testing::Values(Case{"Mlp", mlp<1>, reload<RelativeReward>},
                                           Case{"MlpOfFourRows", mlp<4>, reload<RelativeReward>},
                                           Case{"HalfUnet", half_unet, reload<RelativeReward>},
                                           Case{"Discriminator", discriminator, reload<Discriminator>},
                                           Case{"Nearest", nearest, reload<NearestReward>},
                                           Case{"DensityRatio", density_ratio, nullptr},
                                           Case{"Shaped", shaped, nullptr},
                                           Case{"Support", support, nullptr}),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace diffreward
