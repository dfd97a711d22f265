#include "rewards/nearest/nearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/file.h"
#include "rewards/catalog.h"
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

}  // namespace
}  // namespace diffreward
