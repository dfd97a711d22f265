#include "rewards/evaluate/preference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/rewards/toy_data.h"

namespace diffreward {
namespace {

const MazeMap kCorridor = MazeMap::parse("#####\n#OOO#\n#####");  // columns 0.3 ... 3.3, rows 0.3 ... 1.3
constexpr Point kGoal{1, 3};

/// One window a state, one episode each unless told.
ScoredWindows windows_of(const std::vector<std::array<float, 4>>& states, const std::vector<double>& reward,
                         std::vector<std::size_t> episode = {}) {
  ScoredWindows out;
  out.layout = {.horizon = 1, .stride = 1, .action_dim = 0, .observation_dim = 4};
  for (std::size_t i = 0; i < states.size(); ++i) {
    out.windows.insert(out.windows.end(), states[i].begin(), states[i].end());
    out.episode.push_back(episode.empty() ? i : episode[i]);
    out.step.push_back(0);
  }
  out.reward = reward;
  return out;
}

// The expert runs to the goal at speed 2 or has arrived; the base walks both ways at speed 1, once along the
// wall.
const ScoredWindows kExpert =
    windows_of({{0.8f, 1, 0, 2}, {0.8f, 2, 0, 2}, {0.8f, 3, 0, 0}, {0.8f, 3, 0, 0}}, {0, 0, 0, 0});
const ScoredWindows kBase =
    windows_of({{0.8f, 1, 0, 1}, {0.8f, 1, 0, -1}, {0.8f, 2, 0, 1}, {0.41f, 2.5f, 0, -1}}, {1, 2, 3, 4});

PreferenceReport report() {
  return preference_report(kExpert, kBase, kCorridor, kGoal, {});
}

const BehaviourPreference& find(const PreferenceReport& report, const std::string& name) {
  for (const BehaviourPreference& b : report.behaviours)
    if (b.name == name) return b;
  throw Error("no behaviour " + name);
}

TEST(Preference, MeansAreThoseOfTheRows) {
  const PreferenceReport r = report();
  EXPECT_NEAR(find(r, "speed").expert.value, 1, 1e-6);
  EXPECT_NEAR(find(r, "speed").base.value, 1, 1e-6);
  EXPECT_NEAR(find(r, "speed").difference.value, 0, 1e-6);
  EXPECT_NEAR(find(r, "near_goal").expert.value, 0.5, 1e-9);
  EXPECT_NEAR(find(r, "near_goal").base.value, 0, 1e-9);  // the last one is 0.77 away
  EXPECT_NEAR(find(r, "wall_contact").base.value, 0.25, 1e-9);
  EXPECT_NEAR(find(r, "wall_contact").difference.value, -0.25, 1e-9);
  const double far = std::hypot(0.2, 2), middle = std::hypot(0.2, 1);
  EXPECT_NEAR(find(r, "goal_distance").expert.value, (far + middle + 0.2 + 0.2) / 4, 1e-6);
}

TEST(Preference, HeadingIsTheCosineToTheShortestPath) {
  const PreferenceReport r = report();
  const double far = 2 / std::hypot(0.2, 2), middle = 1 / std::hypot(0.2, 1),
               wall = 0.5 / std::hypot(0.59, 0.5);
  EXPECT_NEAR(find(r, "heading").expert.value, (far + middle) / 2, 1e-3);  // those at rest have no heading
  EXPECT_NEAR(find(r, "heading").base.value, (far - far + middle - wall) / 4, 1e-3);
}

// In the U the way from (3, 1) to the goal at (1, 1) leads around the inner wall, first to its corner at
// (2.3, 2.3).
TEST(Preference, HeadingFollowsThePathAroundWalls) {
  const MazeMap map = MazeMap::named("umaze");
  const double to_corner = std::hypot(0.7, 1.3);
  const ScoredWindows sideways = windows_of({{3, 1, 0, 1}, {3, 1, 0, 3}}, {0, 0});
  const ScoredWindows straight = windows_of({{3, 1, -1, 0}, {3, 1, -2, 0}}, {0, 1});
  const PreferenceReport r = preference_report(sideways, straight, map, {1, 1}, {});
  EXPECT_NEAR(find(r, "heading").expert.value, 1.3 / to_corner, 1e-3);
  EXPECT_NEAR(find(r, "heading").base.value, 0.7 / to_corner, 1e-3);
}

TEST(Preference, EffectSizesAreInPooledDeviationsOfEpisodes) {
  // Speeds by episode: expert means 3 and 5, base means 1 and 1; pooled variance (2 + 0) / 2 = 1, so d = 4
  // - 1.
  const ScoredWindows expert = windows_of({{1, 1, 0, 2}, {1, 1, 0, 4}, {1, 1, 0, 5}}, {0, 0, 0}, {7, 7, 9});
  const ScoredWindows base = windows_of({{1, 1, 0, 1}, {1, 1, 0, 1}}, {0, 1});
  EXPECT_NEAR(find(preference_report(expert, base, kCorridor, kGoal, {}), "speed").effect_size, 3, 1e-6);
}

TEST(Preference, TheRewardsOwnPreferenceIsAnotherQuestion) {
  // The reward is the column: nearer to the goal is better; speed 1 or 2 goes with nothing once distance is
  // fixed.
  std::vector<std::array<float, 4>> states;
  std::vector<double> reward;
  for (int i = 0; i < 40; ++i) {
    states.push_back({1, 0.5f + 0.06f * float(i), 0, i % 2 ? 1.0f : 2.0f});
    reward.push_back(states.back()[1]);
  }
  const ScoredWindows base = windows_of(states, reward);
  const PreferenceReport r = preference_report(base, base, kCorridor, kGoal, {});
  EXPECT_NEAR(find(r, "goal_distance").correlation, -1, 1e-9);
  EXPECT_EQ(find(r, "goal_distance").partial, 0);
  EXPECT_EQ(find(r, "speed").partial, 0);
  EXPECT_LT(std::abs(find(r, "speed").correlation), 0.05);
  ASSERT_TRUE(find(r, "near_goal").auroc.has_value());
  EXPECT_DOUBLE_EQ(*find(r, "near_goal").auroc, 1);
  EXPECT_FALSE(find(r, "speed").auroc.has_value());
  EXPECT_NEAR(find(r, "speed").difference.value, 0, 1e-12);
}

TEST(Preference, RegionsCompareOccupancy) {
  const PreferenceReport r = report();
  ASSERT_EQ(r.regions.size(), 3u);
  EXPECT_EQ(r.regions[2].cell, (Cell{1, 3}));
  EXPECT_NEAR(r.regions[0].expert, 0.25, 1e-12);
  EXPECT_NEAR(r.regions[0].base, 0.5, 1e-12);
  EXPECT_NEAR(r.regions[0].log_ratio.value, std::log(1.5 / 2.5),
              1e-12);  // half a row added: both have 4 + 1.5
  EXPECT_NEAR(r.regions[2].log_ratio.value, std::log(2.5 / 1.5), 1e-12);
  EXPECT_LE(r.regions[2].log_ratio.low, r.regions[2].log_ratio.value);
  EXPECT_GE(r.regions[2].log_ratio.high, r.regions[2].log_ratio.value);
  // Rewards 1 ... 4: mean 2.5, deviation sqrt(5 / 3); cell 1 holds 1 and 2, cell 3 holds 4.
  EXPECT_NEAR(r.regions[0].reward_contrast, -1 / std::sqrt(5.0 / 3), 1e-9);
  EXPECT_NEAR(r.regions[2].reward_contrast, 1.5 / std::sqrt(5.0 / 3), 1e-9);
}

TEST(Preference, TheRasterHoldsEveryRow) {
  const PreferenceReport r = report();
  double expert = 0, base = 0;
  for (std::size_t i = 0; i < r.raster.points.size(); ++i) {
    expert += r.expert_share[i];
    base += r.base_share[i];
    const bool arrived =
        std::abs(r.raster.points[i][0] - 0.8) < 0.2 && std::abs(r.raster.points[i][1] - 3) < 0.13;
    if (!arrived) continue;
    EXPECT_TRUE(r.expert_share[i] == 0 || r.expert_share[i] == 0.5);
  }
  EXPECT_NEAR(expert, 1, 1e-12);
  EXPECT_NEAR(base, 1, 1e-12);
  EXPECT_EQ(draw_occupancy(r, kCorridor, kGoal, 300, 120).width, 300);
  EXPECT_EQ(draw_regions(r, kCorridor, kGoal, 300, 120).height, 120);
}

// A window's behaviours are means over its rows.
TEST(Preference, LongWindowsAreAveraged) {
  ScoredWindows expert = windows_of({{0.8f, 1, 0, 1}}, {0});
  expert.layout.horizon = 2;
  expert.windows = {0.8f, 1, 0, 1, 0.8f, 3, 0, 3};
  const PreferenceReport r = preference_report(expert, expert, kCorridor, kGoal, {});
  EXPECT_NEAR(find(r, "speed").expert.value, 2, 1e-6);
  EXPECT_NEAR(find(r, "near_goal").expert.value, 0.5, 1e-9);
  EXPECT_NEAR(r.regions[0].expert, 0.5, 1e-9);
}

TEST(Preference, NumbersReachTheJson) {
  const Json json = report().json();
  EXPECT_EQ(json["behaviours"].size(), 5u);
  EXPECT_EQ(json["behaviours"][0]["name"], "speed");
  EXPECT_TRUE(json["behaviours"][0]["reward_auroc"].is_null());
  EXPECT_NEAR(json["regions"][2]["log_ratio"]["value"], std::log(2.5 / 1.5), 1e-12);
}

}  // namespace
}  // namespace diffreward
