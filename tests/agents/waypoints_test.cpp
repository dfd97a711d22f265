#include "agents/scripted/waypoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

constexpr Streams kNoise(Purpose::kController, 0);

/// Resets every instance to a random start and goal cell.
const StepView& random_tasks(VectorEnv& envs, const MazeMap& map, std::uint64_t seed) {
  Rng rng(seed);
  const auto n = static_cast<std::size_t>(envs.size());
  const auto cell = [&] {
    const Cell drawn = map.free_cells()[rng.below(map.free_cells().size())];
    return std::vector<double>(drawn.begin(), drawn.end());
  };
  std::vector<ResetOptions> options(n);
  for (ResetOptions& option : options) {
    option.fixed["start_cell"] = cell();
    option.fixed["goal_cell"] = cell();
  }
  std::vector<Seed> seeds(n);
  std::iota(seeds.begin(), seeds.end(), seed);
  return envs.reset({}, seeds, options);
}

/// Longest shortest path between two cells, in cells.
int diameter(const MazeMap& map) {
  int longest = 0;
  for (const Cell cell : map.free_cells()) {
    const std::vector<int> distances = map.cell_distances(cell);
    longest = std::max(longest, *std::max_element(distances.begin(), distances.end()));
  }
  return longest;
}

struct Walk {
  int solved = 0, stayed = 0;  // instances
};

/// `n` random tasks. `stayed` counts those that do not leave the goal's radius in 100 steps after the budget.
Walk walk(const std::string& id, const WaypointConfig& config, int n, bool stay) {
  const auto envs = make_vector(id, {.count = n, .threads = 2, .autoreset = "disabled", .max_steps = 0});
  const MazeMap& map = dynamic_cast<Maze2D&>(envs->env(0)).map();
  const int budget = 100 + 30 * diameter(map);  // a straight cell takes about 20 steps
  const auto walker = make_agent(config, *envs, kNoise);
  const StepView* view = &random_tasks(*envs, map, 7);
  const auto count = static_cast<std::size_t>(n);
  std::vector<Point> goals;
  for (int i = 0; i < n; ++i) goals.push_back(dynamic_cast<Maze2D&>(envs->env(i)).goal());
  std::vector<double> actions(2 * count);
  std::vector<char> solved(count), left(count);
  for (int t = 0; t < budget + (stay ? 100 : 0); ++t) {
    walker->act(*view, actions);
    view = &envs->step(actions);
    for (std::size_t i = 0; i < count; ++i) {
      const bool there = std::hypot(view->obs[4 * i] - goals[i][0], view->obs[4 * i + 1] - goals[i][1]) <=
                         Maze2D::kGoalRadius;
      solved[i] |= there;
      left[i] |= t >= budget && !there;
    }
    if (!stay && std::count(solved.begin(), solved.end(), 0) == 0) break;
  }
  return {int(std::count(solved.begin(), solved.end(), 1)), int(std::count(left.begin(), left.end(), 0))};
}

class EveryMaze : public testing::TestWithParam<std::string> {};

TEST_P(EveryMaze, IsSolvedFromRandomStarts) {
  EXPECT_GE(walk("Maze2D-" + GetParam(), {}, 1000, false).solved, 990);
  EXPECT_GE(walk("Maze2DMuJoCo-" + GetParam(), {}, 1000, false).solved, 990);
}

TEST_P(EveryMaze, IsSolvedWithD4rlsGainsAndHeldWithNoise) {
  EXPECT_GE(walk("Maze2D-" + GetParam(), {.gain = 10, .damping = 1, .reach = 0.1}, 200, false).solved, 198);
  EXPECT_GE(walk("Maze2D-" + GetParam(), {.action_noise = 0.2}, 200, true).stayed, 198);
}

INSTANTIATE_TEST_SUITE_P(Mazes, EveryMaze, testing::Values("Open-v0", "UMaze-v0", "Medium-v0", "Large-v0"),
                         [](const auto& maze) { return maze.param.substr(0, maze.param.size() - 3); });

/// Observations and actions of a short walk with autoreset.
std::vector<double> record(VectorEnv& envs, const WaypointConfig& config, int steps,
                           const Streams& noise = kNoise) {
  const auto walker = make_agent(config, envs, noise);
  std::vector<double> actions(2 * static_cast<std::size_t>(envs.size())), out;
  const StepView* view = &envs.reset(3);
  for (int t = 0; t < steps; ++t) {
    walker->act(*view, actions);
    out.insert(out.end(), view->obs.begin(), view->obs.end());
    out.insert(out.end(), actions.begin(), actions.end());
    view = &envs.step(actions);
  }
  return out;
}

const Json kMovingGoals = {{"random_goal", true}, {"at_goal", "new_goal"}};

TEST(Waypoints, AreEqualForEqualSeedsAndAnyNumberOfThreads) {
  const auto walk_with = [](std::uint64_t seed, int threads) {
    const auto envs = make_vector("Maze2D-UMaze-v0",
                                  {.count = 6, .threads = threads, .autoreset = "same_step"}, kMovingGoals);
    return record(*envs, {.action_noise = 0.3}, 400, Streams(Purpose::kController, seed));
  };
  EXPECT_EQ(walk_with(1, 1), walk_with(1, 1));
  EXPECT_EQ(walk_with(1, 1), walk_with(1, 3));
  EXPECT_NE(walk_with(1, 1), walk_with(2, 1));
}

TEST(Waypoints, AnInstancesWalkDoesNotDependOnItsNeighbours) {
  const auto first = [](int count) {
    const auto envs =
        make_vector("Maze2D-UMaze-v0", {.count = count, .autoreset = "same_step"}, kMovingGoals);
    const std::vector<double> all = record(*envs, {.action_noise = 0.3}, 300);
    std::vector<double> one;
    for (std::size_t t = 0; t < 300; ++t) one.push_back(all[t * static_cast<std::size_t>(6 * count)]);
    return one;
  };
  EXPECT_EQ(first(1), first(5));
}

TEST(Waypoints, NumberedEpisodesHaveTheSameNoiseOnAnyInstance) {
  const auto actions_of = [](int count, std::vector<std::uint64_t> numbers) {
    const auto envs = make_vector("Maze2D-UMaze-v0", {.count = count, .autoreset = "same_step"});
    const auto walker = make_agent(WaypointConfig{.action_noise = 0.3}, *envs, kNoise);
    walker->number_episodes(numbers);
    const std::vector<Seed> seeds(static_cast<std::size_t>(count), Seed(9));
    std::vector<double> actions(2 * static_cast<std::size_t>(count));
    walker->act(envs->reset({}, seeds, {}), actions);
    return std::vector<double>(actions.end() - 2, actions.end());
  };
  EXPECT_EQ(actions_of(1, {7}), actions_of(3, {5, 6, 7}));
  EXPECT_NE(actions_of(1, {7}), actions_of(1, {8}));
}

TEST(Waypoints, FollowAGoalThatMoves) {
  const auto envs = make_vector("Maze2D-UMaze-v0", {.count = 1, .autoreset = "same_step", .max_steps = 0},
                                {{"at_goal", "new_goal"}});
  Maze2D& maze = dynamic_cast<Maze2D&>(envs->env(0));
  const auto walker = make_agent(WaypointConfig{}, *envs, kNoise);
  const std::size_t told = envs->spec().info_offset("goal_switched").value();
  std::vector<double> actions(2);
  const StepView* view = &envs->reset(0);
  int switches = 0;
  for (int t = 0; t < 3000; ++t) {
    const Point before = maze.goal();
    walker->act(*view, actions);
    view = &envs->step(actions);
    ASSERT_TRUE(view->info[told] != 0 || maze.goal() == before) << "a goal moved and no info tells";
    switches += view->info[told] != 0;
  }
  EXPECT_GT(switches, 10);
}

TEST(Waypoints, StandStillAtTheGoal) {
  const auto envs = make_vector("Maze2D-Open-v0", {.count = 1, .autoreset = "same_step", .max_steps = 0});
  EXPECT_FALSE(envs->spec().info_offset("goal_switched"));
  const std::vector<double> rows = record(*envs, {}, 500);
  const double speed = std::hypot(rows[499 * 6 + 2], rows[499 * 6 + 3]);
  EXPECT_LT(speed, 0.01) << "the ball still moves after 5 s";
}

TEST(Waypoints, WalksTheCallersMap) {
  const std::string map = "#######\n#OOOOO#\n#O###O#\n#O#OOO#\n#O#O###\n#OOOOG#\n#######\n";
  const auto envs =
      make_vector("Maze2D-UMaze-v0", {.count = 50, .autoreset = "disabled", .max_steps = 0}, {{"map", map}});
  const std::vector<double> rows = record(*envs, {}, 600);
  const double* last = rows.data() + 599 * 50 * 6;
  for (int i = 0; i < 50; ++i) EXPECT_LT(std::hypot(last[4 * i] - 5, last[4 * i + 1] - 5), 0.5) << i;
}

struct Elsewhere final : Env {
  EnvSpec facts{
      .id = "Elsewhere-v0", .observation = {{0}, {1}}, .action = {{-1}, {1}}, .info = {}, .parts = {}};
  const EnvSpec& spec() const override { return facts; }
  void begin(std::optional<Seed>, const ResetOptions&, std::span<double> obs) override { obs[0] = 0; }
  StepResult step(std::span<const double>, std::span<double>) override { return {}; }
  void state(std::span<double>) const override {}
  void set_state(std::span<const double>, std::span<double>) override {}
  void info(std::span<double>) const override {}
  Image render(int, int) const override { return {}; }
};

TEST(Waypoints, RefusesWhatIsNoMaze) {
  std::vector<std::unique_ptr<Env>> list;
  list.push_back(std::make_unique<Elsewhere>());
  const auto envs = make_vector(std::move(list), {});
  EXPECT_THAT(message_of<InvalidArgument>([&] { make_agent(WaypointConfig{}, *envs, kNoise); }),
              HasSubstr("waypoints: expected a maze environment, got Elsewhere-v0"));
  const auto maze = make_vector("Maze2D-UMaze-v0", {});
  EXPECT_THROW(make_agent(WaypointConfig{.reach = -1}, *maze, kNoise), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
