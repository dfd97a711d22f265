#include "rewards/evaluate/evaluate.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/rng.h"
#include "rewards/evaluate/maze_task.h"
#include "tests/rewards/toy_data.h"

namespace diffreward {
namespace {

const double kHalfDiagonal =
    std::sqrt(0.5) / 16;  // from a sample of the default grid to the farthest point of its square

TEST(Heatmap, ThePathLengthItselfIsAPerfectReward) {
  const MazeMap map = MazeMap::named("medium");
  const Point goal{6, 6};
  const FunctionReward reward = state_reward([&](const float* o) {
    return -map.path_length({o[0], o[1]}, goal);
  });
  const Heatmap heatmap = reward_heatmap(reward, map, goal, {.per_cell = 4});
  EXPECT_GT(heatmap.rank_correlation, 0.9999);  // scores are single precision, so two of them may tie
  EXPECT_LE(heatmap.peak_to_goal, 4 * kHalfDiagonal);
  EXPECT_FALSE(heatmap.supported_peak.has_value());

  const FunctionReward opposite = state_reward([&](const float* o) {
    return map.path_length({o[0], o[1]}, goal);
  });
  EXPECT_LT(reward_heatmap(opposite, map, goal, {.per_cell = 4}).rank_correlation, -0.9999);
}

TEST(Heatmap, ThePeakOfAPlateauIsItsMiddle) {
  const MazeMap map = MazeMap::named("open");
  const Point goal{2, 3};
  const FunctionReward sparse =
      state_reward([&](const float* o) { return std::hypot(o[0] - goal[0], o[1] - goal[1]) <= 0.5; });
  const Heatmap heatmap = reward_heatmap(sparse, map, goal, {});
  EXPECT_LE(heatmap.peak_to_goal, kHalfDiagonal);
}

TEST(Heatmap, ThePeakLiesWhereTheBallCanBe) {
  const MazeMap map = MazeMap::named("open");  // free rows begin at 0.3, so the ball's centre at 0.4
  const FunctionReward reward = state_reward([](const float* o) { return -o[0]; });
  const Heatmap heatmap = reward_heatmap(reward, map, {2, 3}, {});
  EXPECT_GE(heatmap.peak[0], 0.4);
  EXPECT_LE(heatmap.peak[0], 0.4 + 1.0 / 16);
}

TEST(Heatmap, SupportMovesThePeak) {
  const MazeMap map = MazeMap::named("open");
  const Point goal{2, 3};
  const FunctionReward reward = state_reward([&](const float* o) { return -std::hypot(o[0] - 2, o[1] - 3); });
  const FunctionReward support = state_reward([](const float* o) { return o[1] > 4 ? 0.5 : 0.001; });
  const Heatmap heatmap = reward_heatmap(reward, map, goal, {}, &support);
  ASSERT_TRUE(heatmap.supported_peak.has_value());
  EXPECT_LE(heatmap.peak_to_goal, kHalfDiagonal);
  EXPECT_NEAR((*heatmap.supported_peak)[0], 2, 1.0 / 32 + 1e-9);
  EXPECT_NEAR(heatmap.supported_peak_to_goal, 1 + 1.0 / 32, 1.0 / 16);
}

TEST(Heatmap, OneSpikeDoesNotFlattenThePicture) {
  const MazeMap map = MazeMap::named("open");
  const FunctionReward reward = state_reward([](const float* o) {
    return o[0] > 2.6f && o[0] < 2.7f && o[1] > 4.9f && o[1] < 5.0f ? 1e6 : double(o[1]);
  });
  const Heatmap heatmap = reward_heatmap(reward, map, {2, 3}, {});
  EXPECT_NEAR(median(heatmap.scaled), 0.5, 0.02);
  EXPECT_EQ(*std::max_element(heatmap.scaled.begin(), heatmap.scaled.end()), 1);
  EXPECT_GT(*std::max_element(heatmap.values.begin(), heatmap.values.end()), 1e5);
}

TEST(Heatmap, TheMarginalAveragesOverBaseVelocities) {
  const MazeMap map = MazeMap::named("umaze");
  const FunctionReward reward = state_reward([](const float* o) { return o[0] + o[2] * o[2]; });
  const Dataset base = dataset_of({{{1, 1, 2, 0}, {1, 2, -2, 0}}, {{3, 3, 2, 5}, {3, 2, 2, 1}}});
  const ScoredWindows windows = score_windows(reward, base, {.every = 1});
  const Heatmap standing = reward_heatmap(reward, map, {1, 1}, {.per_cell = 2});
  const Heatmap marginal = marginal_heatmap(reward, map, {1, 1}, windows, {.per_cell = 2, .velocities = 7});
  for (std::size_t i = 0; i < standing.values.size(); ++i)
    EXPECT_NEAR(marginal.values[i], standing.values[i] + 4, 1e-5);  // v^2 is 4 in every row
}

TEST(Heatmap, AStripReadsEachTimestep) {
  const MazeMap map = MazeMap::named("open");
  const FunctionReward reward = state_reward([](const float*) { return 0.0; });
  const auto at = [](int t) -> ScoreFn {
    return [t](std::span<const float> windows, std::span<float> out) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = -std::abs(windows[4 * i + 1] - float(t));
    };
  };
  const int timesteps[] = {1, 4};
  const std::vector<Heatmap> strip = heatmap_strip(at, reward, timesteps, map, {2, 3}, {});
  EXPECT_NEAR(strip[0].peak[1], 1, 1.0 / 16);
  EXPECT_NEAR(strip[1].peak[1], 4, 1.0 / 16);
  const Image picture = draw_reward_strip(strip, timesteps, map, {2, 3}, 100);
  EXPECT_EQ(picture.height, 100);
  EXPECT_GT(picture.width, 200);
}

TEST(Heatmap, StandingWindowsRepeatThePosition) {
  const WindowLayout layout{.horizon = 2, .stride = 3, .action_dim = 1, .observation_dim = 3};
  const Point positions[] = {{1, 2}, {3, 4}};
  EXPECT_EQ(standing_windows(layout, positions),
            (std::vector<float>{0, 1, 2, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 3, 4, 0}));
}

/// Episodes of `length` rows that stand at x.
Dataset standing(const std::vector<float>& x, std::size_t length) {
  std::vector<std::vector<std::array<float, 4>>> episodes;
  for (const float value : x) episodes.emplace_back(length, std::array<float, 4>{value, 1, 0, 0});
  return dataset_of(episodes);
}

TEST(Separation, CountsPairsOfStretches) {
  const FunctionReward reward = state_reward([](const float* o) { return o[0]; });
  const ScoredWindows expert = score_windows(reward, standing({3, 1}, 10), {.every = 1});
  const ScoredWindows base = score_windows(reward, standing({0, 1, 2}, 10), {.every = 1});
  const Separation whole = separation(expert, base, 0, {});
  EXPECT_DOUBLE_EQ(whole.auroc.value, 0.75);  // 4.5 of 6 pairs
  EXPECT_EQ(whole.expert.values.size(), 2u);
  EXPECT_LE(whole.auroc.low, 0.75);
  EXPECT_GE(whole.auroc.high, 0.75);
  const Separation short_ones =
      separation(expert, base, 4, {});  // 4 + 4 + 2 rows: the rest is half a stretch
  EXPECT_EQ(short_ones.base.values.size(), 9u);
  EXPECT_EQ(short_ones.base.clusters[3], 1u);
  EXPECT_DOUBLE_EQ(short_ones.auroc.value, 0.75);
  // Equal episodes cut in pieces are not more episodes.
  EXPECT_DOUBLE_EQ(short_ones.auroc.low, whole.auroc.low);
  EXPECT_EQ(separation(expert, base, 7, {}).base.values.size(), 3u);  // 7 + 3 rows: less than half
}

TEST(Separation, MeansAreOverTheStretch) {
  const FunctionReward reward = state_reward([](const float* o) { return o[0]; });
  const Dataset data = dataset_of({{{0, 1, 0, 0}, {2, 1, 0, 0}, {10, 1, 0, 0}, {20, 1, 0, 0}}});
  const ScoredWindows scored = score_windows(reward, data, {.every = 1});
  const Separation out = separation(scored, scored, 2, {});
  EXPECT_EQ(out.expert.values, (std::vector<double>{1, 15}));
  EXPECT_DOUBLE_EQ(out.auroc.value, 0.5);
}

TEST(Separation, ScoresThatAreNotFiniteAreRefused) {
  const FunctionReward reward = state_reward([](const float* o) { return std::log(o[0]); });
  EXPECT_THROW(score_windows(reward, standing({1, 0}, 3), {}), Error);
}

TEST(Separation, PicksWholeEpisodesAtRandom) {
  const FunctionReward reward = state_reward([](const float* o) { return o[0]; });
  const Dataset data = standing({0, 1, 2, 3, 4, 5, 6, 7}, 9);
  const ScoredWindows some = score_windows(reward, data, {.every = 4, .episodes = 3, .seed = 1});
  ASSERT_EQ(some.size(), 9u);  // rows 0, 4, 8 of three episodes
  EXPECT_EQ(some.step[1], 4u);
  EXPECT_EQ(some.episode[0], some.episode[2]);
  EXPECT_LT(some.episode[2], some.episode[3]);
  EXPECT_NE(score_windows(reward, data, {.every = 4, .episodes = 3, .seed = 5}).episode, some.episode);
}

/// Random transitions, with actions that are stored but unrelated.
Dataset random_transitions(int rows) {
  Rng rng(3);
  Dataset::Columns c;
  c.observation_dim = 4;
  c.action_dim = 2;
  for (int i = 0; i < rows; ++i) {
    for (int k = 0; k < 4; ++k) {
      c.observations.push_back(float(rng.normal()));
      c.next_observations.push_back(float(rng.normal()));
    }
    c.actions.insert(c.actions.end(), {float(rng.normal()), float(rng.normal())});
    c.rewards.push_back(0);
    c.terminals.push_back(0);
    c.timeouts.push_back(i % 100 == 99);
  }
  return Dataset::from_columns(std::move(c));
}

using Row = const float*;
TransitionReward pay(const std::function<double(Row s, Row a, Row next)>& reward) {
  return [reward](std::span<const float> s, std::span<const float> a, std::span<const float> next,
                  std::span<double> out) {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = reward(s.data() + 4 * i, a.data() + 2 * i, next.data() + 4 * i);
  };
}

TEST(Epic, ShapingAndScaleAreNoDifference) {
  const Dataset data = random_transitions(3000);
  const auto reward = [](Row s, Row a, Row next) { return s[0] * next[1] + a[0]; };
  const auto potential = [](Row s) { return 5 * std::sin(double(s[0])) + double(s[2]) * s[3]; };
  const auto shaped = [&](Row s, Row a, Row next) {
    return 2 * reward(s, a, next) + 7 + 0.9 * potential(next) - potential(s);
  };
  const auto negated = [&](Row s, Row a, Row next) { return -shaped(s, a, next); };
  const EpicConfig config{.discount = 0.9};
  EXPECT_NEAR(epic_distance(pay(reward), pay(reward), data, config), 0, 1e-7);
  EXPECT_NEAR(epic_distance(pay(reward), pay(shaped), data, config), 0, 1e-6);
  EXPECT_NEAR(epic_distance(pay(reward), pay(negated), data, config), 1, 1e-6);
  // Shaping with another discount than the task's changes what is optimal, and the distance sees it.
  EXPECT_GT(epic_distance(pay(reward), pay(shaped), data, {.discount = 0.5}), 0.1);
}

TEST(Epic, UnrelatedRewardsLieBetween) {
  const Dataset data = random_transitions(20000);
  const EpicConfig config{.transitions = 20000, .expectation = 8};  // the correlation is known to 0.01
  const auto x = [](Row, Row, Row next) { return next[0]; };
  const auto y = [](Row, Row, Row next) { return next[1]; };
  EXPECT_NEAR(epic_distance(pay(x), pay(y), data, config), std::sqrt(0.5), 0.02);
  // Correlation of x and x + y is 1 / sqrt 2, so the distance is sqrt((1 - 0.7071) / 2).
  const auto both = [](Row, Row, Row next) { return next[0] + next[1]; };
  EXPECT_NEAR(epic_distance(pay(x), pay(both), data, config), 0.3827, 0.02);
}

TEST(Epic, ModelsArePaidAsTheRewardedEnvPays) {
  const float s[] = {1, 2, 3, 4}, a[] = {5, 6}, next[] = {7, 8, 9, 10};
  const auto sum = [](std::span<const float> windows, std::span<float> out) {
    const std::size_t size = windows.size() / out.size();
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = 0;
      for (std::size_t k = 0; k < size; ++k) out[i] += windows[i * size + k];
    }
  };
  double paid = 0;
  const FunctionReward of_state({.horizon = 2, .stride = 1, .action_dim = 0, .observation_dim = 4},
                                Reads::kReached, sum);
  transition_reward(of_state)(s, a, next, {&paid, 1});
  EXPECT_DOUBLE_EQ(paid, 68);
  const FunctionReward of_action({.horizon = 1, .stride = 1, .action_dim = 2, .observation_dim = 4},
                                 Reads::kStateAction, sum);
  transition_reward(of_action)(s, a, next, {&paid, 1});
  EXPECT_DOUBLE_EQ(paid, 21);
  const FunctionReward of_all(
      {.horizon = 1, .stride = 1, .action_dim = 2, .observation_dim = 4, .reached = true}, Reads::kTransition,
      sum);
  transition_reward(of_all)(s, a, next, {&paid, 1});
  EXPECT_DOUBLE_EQ(paid, 55);
  const auto own = [&](Point goal, bool dense) {
    transition_reward (*maze_reward(goal, dense))(s, a, next, {&paid, 1});
    return paid;
  };
  EXPECT_NEAR(own({7, 7}, true), std::exp(-1), 1e-7);
  EXPECT_EQ(own({7, 7.6}, false), 1);
  EXPECT_EQ(own({7, 7.4}, false), 0);
}

/// Walks: the expert heads for (1, 1) of the U and stays, the base ends anywhere.
Dataset walks(const MazeMap& map, bool expert, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::vector<std::array<float, 4>>> episodes;
  const std::vector<Cell>& cells = map.free_cells();
  for (int e = 0; e < 30; ++e) {
    const Cell from = cells[rng.below(cells.size())],
               to = expert ? Cell{1, 1} : cells[rng.below(cells.size())];
    auto& episode = episodes.emplace_back();
    Cell before = from;
    for (const Cell& cell : map.path(from, to)) {
      for (int i = 0; i < 4; ++i) {
        const float u = float(i + 1) / 4;
        episode.push_back({std::lerp(float(before[0]), float(cell[0]), u),
                           std::lerp(float(before[1]), float(cell[1]), u), float(cell[0] - before[0]),
                           float(cell[1] - before[1])});
      }
      before = cell;
    }
    while (episode.size() < 60) episode.push_back({float(to[0]), float(to[1]), 0, 0});
  }
  return dataset_of(episodes);
}

/// Episodes of five steps whose own reward is x of the row, and every window of one row scored by `score`.
TEST(Agreement, IsOneForTheTaskAndNoneForNoise) {
  Rng rng(Seed(4));
  std::vector<std::vector<std::array<float, 4>>> episodes;
  for (int e = 0; e < 40; ++e) {
    auto& episode = episodes.emplace_back();
    for (int k = 0; k < 5; ++k)
      episode.push_back({static_cast<float>(rng.normal()), static_cast<float>(rng.normal()), 0, 0});
  }
  const Dataset data = dataset_of(episodes, [](const std::array<float, 4>& row) { return row[0]; });
  const auto agree = [&](auto score) {
    return agreement(score_windows(state_reward(score), data, {.every = 1}), data, {.resamples = 200});
  };
  const Agreement same = agree([](const float* o) { return 3 * o[0] + 1; });
  EXPECT_NEAR(same.pearson.value, 1, 1e-6);
  EXPECT_NEAR(same.pearson.low, 1, 1e-6);
  EXPECT_EQ(same.windows, data.size());
  const Agreement bent = agree([](const float* o) { return -std::exp(o[0]); });
  EXPECT_NEAR(bent.spearman.value, -1, 1e-6);
  EXPECT_GT(bent.pearson.value, -0.95);
  const Agreement none = agree([](const float* o) { return o[1]; });
  EXPECT_LT(none.pearson.low, 0);
  EXPECT_GT(none.pearson.high, 0);
}

TEST(EvaluateReward, JudgesATrueRewardAndItsOpposite) {
  const MazeMap map = MazeMap::named("umaze");
  const Point goal{1, 1};
  const Dataset expert = walks(map, true, 1), base = walks(map, false, 2);
  const RewardEvaluationConfig config{
      .per_cell = 4, .velocities = 2, .stretch = 0, .every = 1, .bootstrap = {.resamples = 200}};
  const FunctionReward dense =
      state_reward([&](const float* o) { return std::exp(-std::hypot(o[0] - goal[0], o[1] - goal[1])); });
  const MazeTask task{map, goal};
  const RewardEvaluation good = evaluate_reward(dense, &task, expert, base, config);
  EXPECT_GT(good.separation.auroc.low, 0.7);
  ASSERT_TRUE(good.maze.has_value());
  EXPECT_NEAR(good.maze->epic_dense, 0, 1e-3);  // the model's scores are single precision
  EXPECT_GT(good.maze->epic_sparse, 0.05);
  EXPECT_GT(good.maze->heatmap.rank_correlation,
            0.5);  // not 1: the far end of the U is near as the crow flies
  ASSERT_TRUE(good.maze->marginal.has_value());
  EXPECT_NEAR(good.maze->marginal->rank_correlation, good.maze->heatmap.rank_correlation,
              1e-9);                                                   // velocities do not enter
  EXPECT_GT(good.maze->preference.behaviours[2].difference.low, 0.2);  // dwell near the goal

  const FunctionReward bad =
      state_reward([&](const float* o) { return std::hypot(o[0] - goal[0], o[1] - goal[1]); });
  const RewardEvaluation wrong = evaluate_reward(bad, &task, expert, base, config);
  EXPECT_LT(wrong.separation.auroc.high, 0.3);
  EXPECT_GT(wrong.maze->epic_dense, 0.9);

  const Json json = good.json();
  EXPECT_DOUBLE_EQ(json["separation"]["auroc"]["value"], good.separation.auroc.value);
  EXPECT_DOUBLE_EQ(json["heatmap"]["peak_to_goal"], good.maze->heatmap.peak_to_goal);
  EXPECT_EQ(json["preference"]["regions"].size(), map.free_cells().size());
  const MazeTask in_the_wall{map, {2, 1}};
  EXPECT_THROW(evaluate_reward(dense, &in_the_wall, expert, base, config), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
