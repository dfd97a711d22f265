#include "envs/maze2d/point_maze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "envs/catalog.h"

namespace diffreward {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Values = std::vector<double>;

PointMaze maze(const PointMazeConfig& config) {
  return {"PointMaze_Test-v3", config, 300};
}

ResetOptions at(Point start, Point goal) {
  return {.fixed = {{"start", {start[0], start[1]}}, {"goal", {goal[0], goal[1]}}}};
}

ResetOptions in(const char* name, Cell cell) {
  return {.fixed = {{name, {double(cell[0]), double(cell[1])}}}};
}

/// Largest distance per axis.
double off(Point a, Point b) {
  return std::max(std::abs(a[0] - b[0]), std::abs(a[1] - b[1]));
}

/// success [1], goal [2], qpos [2], qvel [2], goal_distance [1].
Values info_of(const Env& env) {
  Values info(env.spec().info_size());
  env.info(info);
  return info;
}

TEST(PointMaze, IdsAndStepLimitsAreThoseOfGymnasiumRobotics) {
  std::vector<std::string> ids;
  for (const EnvEntry& entry : env_catalog())
    if (entry.id.starts_with("PointMaze_")) ids.push_back(entry.id);
  EXPECT_EQ(ids.size(), 20u);
  for (const auto& [maze, steps] : {std::pair{"Open", 300}, {"Medium", 600}, {"Large", 800}})
    for (const char* variant : {"", "_Diverse_G", "_Diverse_GR"})
      for (const char* reward : {"", "Dense"})
        EXPECT_EQ(env_spec(concat("PointMaze_", maze, variant, reward, "-v3")).max_steps, steps);
  EXPECT_EQ(env_spec("PointMaze_UMaze-v3").max_steps, 300);
  EXPECT_EQ(env_spec("PointMaze_UMazeDense-v3").max_steps, 300);
}

TEST(PointMaze, PartsOfTheObservationAreInGymnasiumsOrder) {
  PointMaze env = maze({});
  std::vector<std::string> names;
  std::size_t size = 0;
  for (const InfoField& part : env.spec().parts) {
    names.push_back(part.name);
    size += part.size;
  }
  EXPECT_THAT(names, ElementsAre("achieved_goal", "desired_goal", "observation"));
  EXPECT_EQ(size, env.spec().observation.size());
  Values obs(8);
  env.reset(1, at({-1, 1.1}, {1, -1}), obs);
  EXPECT_THAT(obs, ElementsAre(-1, 1.1, 1, -1, -1, 1.1, 0, 0));
  env.step(Values{1, 0}, obs);
  EXPECT_GT(obs[6], 0.2);  // 100 N on 4.2 kg for 0.01 s, along x
  EXPECT_EQ(obs[0], obs[4]);
  EXPECT_EQ(obs[7], 0);
  const double x = obs[0] - 1, y = obs[1] + 1;
  EXPECT_THAT(info_of(env), ElementsAre(0, 1, -1, obs[4], obs[5], obs[6], obs[7], std::sqrt(x * x + y * y)));
}

TEST(PointMaze, CellsLieAroundTheMiddleOfTheMaze) {
  const PointMaze env = maze({.maze_map = "large"});  // 9 x 12
  EXPECT_EQ(env.point_of({1, 1}), (Point{-4.5, 3}));
  EXPECT_EQ(env.point_of({7, 10}), (Point{4.5, -3}));
  for (const Cell cell : env.map().free_cells()) {
    const Point middle = env.point_of(cell);
    EXPECT_EQ(env.cell_at({middle[0] + 0.49, middle[1] - 0.49}), cell);
    EXPECT_EQ(env.cell_at({middle[0] - 0.49, middle[1] + 0.49}), cell);
  }
  EXPECT_EQ(env.cell_at({6.1, 0}), (Cell{-1, -1}));
}

TEST(PointMaze, WallsStopTheBall) {
  PointMaze env = maze({.maze_map = "umaze"});
  Values obs(8);
  env.reset(1, at({-1, 1}, {1, 1}), obs);
  for (int t = 0; t < 200; ++t) env.step(Values{-1, -1}, obs);
  EXPECT_NEAR(obs[0], -1.4, 0.01);  // the ball's radius from the walls of cell (1, 1)
  EXPECT_NEAR(obs[1], 0.6, 0.01);
}

TEST(PointMaze, MarksSayWhereStartsAndGoalsAre) {
  const struct {
    const char* map;
    std::vector<Cell> starts, goals;
  } cases[] = {
      {"#####\n#OOO#\n#####", {{1, 1}, {1, 2}, {1, 3}}, {{1, 1}, {1, 2}, {1, 3}}},
      {"#####\n#ROO#\n#####", {{1, 1}}, {{1, 2}, {1, 3}}},
      {"#####\\#OOG#\\#####", {{1, 1}, {1, 2}}, {{1, 3}}},
      {"\n#####\r\n#SGG#\r\n#####\r\n", {{1, 1}}, {{1, 2}, {1, 3}}},
      {"#####\n#COC#\n#####", {{1, 1}, {1, 3}}, {{1, 1}, {1, 3}}},
      {"#####\n#RGC#\n#####", {{1, 1}, {1, 3}}, {{1, 2}, {1, 3}}},
      {"#####\n#ROC#\n#####", {{1, 1}, {1, 3}}, {{1, 3}}},
  };
  for (const auto& [map, starts, goals] : cases) {
    const PointMaze env = maze({.maze_map = map});
    EXPECT_EQ(env.start_cells(), starts) << map;
    EXPECT_EQ(env.goal_cells(), goals) << map;
  }
  EXPECT_EQ(maze({.maze_map = "large_diverse_g"}).goal_cells().size(), 7u);
  EXPECT_EQ(maze({.maze_map = "large_diverse_gr"}).start_cells().size(), 8u);
}

TEST(PointMaze, BadMapsAreRefused) {
  for (const char* map : {"####\n#GG#\n####", "####\n#RR#\n####", "####\n#OX#\n####", "####\n####"})
    EXPECT_THROW(maze({.maze_map = map}), InvalidArgument) << map;
  try {
    maze({.maze_map = "medium_diverse_gs"});
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'medium_diverse_g"));
  }
  EXPECT_THROW(maze({.position_noise_range = 0.5}), InvalidArgument);
}

TEST(PointMaze, ResetsDrawFromAllCellsWithTheirNoise) {
  PointMaze env = maze({.maze_map = "medium_diverse_g"});
  Values obs(8);
  std::set<Cell> goals;
  double largest = 0;
  env.reset(1, {}, obs);
  for (int i = 0; i < 300; ++i) {
    env.reset(std::nullopt, {}, obs);
    const Point start{obs[0], obs[1]}, goal{obs[2], obs[3]};
    EXPECT_EQ(env.cell_at(start), (Cell{1, 1}));
    goals.insert(env.cell_at(goal));
    largest = std::max(largest, off(goal, env.point_of(env.cell_at(goal))));
    EXPECT_LE(off(start, env.point_of({1, 1})), 0.25);
    EXPECT_EQ(obs[6], 0);
    EXPECT_EQ(obs[7], 0);
  }
  EXPECT_EQ(goals, (std::set<Cell>{{2, 6}, {5, 1}, {6, 5}}));
  EXPECT_GT(largest, 0.24);
  EXPECT_LE(largest, 0.25);
}

TEST(PointMaze, StartsKeepAwayFromTheGoalWhereTheyCan) {
  PointMaze open = maze({.maze_map = "open"});
  Values obs(8);
  std::set<Cell> starts;
  const ResetOptions options = in("goal_cell", {2, 3});
  open.reset(1, options, obs);
  for (int i = 0; i < 400; ++i) {
    open.reset(std::nullopt, options, obs);
    EXPECT_EQ(open.cell_at({obs[2], obs[3]}), (Cell{2, 3}));
    starts.insert(open.cell_at({obs[0], obs[1]}));
  }
  EXPECT_EQ(starts.size(), 14u);
  EXPECT_FALSE(starts.contains({2, 3}));

  PointMaze single = maze({.maze_map = "###\n#C#\n###", .position_noise_range = 0});
  single.reset(1, {}, obs);
  EXPECT_THAT(obs, ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(info_of(single)[0], 1);
}

TEST(PointMaze, ResetOptionsAreHonouredAndLeaveTheRestAsItWas) {
  PointMaze env = maze({.maze_map = "umaze"});
  Values plain(8), obs(8);
  env.reset(5, {}, plain);
  env.reset(5, in("start_cell", {3, 1}), obs);
  EXPECT_EQ(env.cell_at({obs[0], obs[1]}), (Cell{3, 1}));
  EXPECT_EQ(obs[2], plain[2]);
  EXPECT_EQ(obs[3], plain[3]);
  env.reset(5, {.fixed = {{"start", {-0.9, 0.85}}}}, obs);
  EXPECT_EQ(obs[0], -0.9);
  EXPECT_EQ(obs[1], 0.85);
  EXPECT_EQ(obs[2], plain[2]);
  for (const Cell cell : env.map().free_cells()) {  // each free cell, those of the far rows and columns too
    env.reset(5, in("goal_cell", cell), obs);
    EXPECT_EQ(env.cell_at({obs[2], obs[3]}), cell);
    EXPECT_LE(off({obs[2], obs[3]}, env.point_of(cell)), 0.25);
  }
}

TEST(PointMaze, StartsAndGoalsInWallsAreRefused) {
  PointMaze env = maze({.maze_map = "umaze"});
  Values obs(8);
  env.reset(1, {}, obs);
  const Values before = obs;
  for (const Cell cell : {Cell{0, 0}, Cell{2, 1}, Cell{5, 1}, Cell{1, 5}, Cell{-1, 1}, Cell{1, -1}}) {
    EXPECT_THROW(env.reset(1, in("start_cell", cell), obs), InvalidArgument);
    EXPECT_THROW(env.reset(1, in("goal_cell", cell), obs), InvalidArgument);
  }
  EXPECT_THROW(env.reset(1, at({-1, 0}, {1, 1}), obs), InvalidArgument);
  EXPECT_THROW(env.reset(1, at({1, 1}, {-1, 0}), obs), InvalidArgument);
  EXPECT_THROW(env.reset(1, at({1, 1}, {std::nan(""), 1}), obs), InvalidArgument);
  ResetOptions both = at({1, 1}, {1, 1});
  both.fixed["goal_cell"] = {1, 1};
  EXPECT_THROW(env.reset(1, both, obs), InvalidArgument);
  EXPECT_EQ(obs, before);
}

TEST(PointMaze, RewardIsPaidForTheStateReached) {
  for (const bool dense : {false, true}) {
    PointMaze env = maze({.maze_map = "umaze", .reward_type = dense ? "dense" : "sparse"});
    Values obs(8);
    env.reset(1, at({-1, 1}, {-0.54, 1}), obs);
    EXPECT_EQ(info_of(env)[0], 0);
    bool success = false;
    for (int t = 0; t < 20; ++t) {
      const StepResult result = env.step(Values{0.5, 0}, obs);
      const double d = std::abs(obs[0] + 0.54);
      success = d <= 0.45;
      EXPECT_DOUBLE_EQ(result.reward, dense ? std::exp(-d) : success);
      EXPECT_EQ(info_of(env)[0], success);
      EXPECT_DOUBLE_EQ(info_of(env)[7], d);
      EXPECT_FALSE(result.terminated);  // continuing
      EXPECT_EQ(obs[2], -0.54);         // the goal stays
    }
    EXPECT_TRUE(success);
    EXPECT_EQ(env.reward({1, 1}, {1, 1}), 1);
  }
}

TEST(PointMaze, EpisodicTasksEndAtTheGoal) {
  PointMaze env = maze({.maze_map = "umaze", .continuing_task = false, .reset_target = true});
  Values obs(8);
  env.reset(1, at({-1, 1}, {-0.5, 1}), obs);
  StepResult result;
  int steps = 0;
  while (!result.terminated && ++steps < 100) {
    result = env.step(Values{1, 0}, obs);
    EXPECT_EQ(result.terminated, result.reward == 1);
  }
  EXPECT_LT(steps, 100);
  EXPECT_EQ(obs[2], -0.5);  // moves in continuing tasks only
}

TEST(PointMaze, AMovedGoalIsShownAtOnceAndPaidFromTheNextStep) {
  PointMaze env = maze({.maze_map = "umaze", .reward_type = "dense", .reset_target = true});
  Values obs(8);
  env.reset(1, at({-1, 1}, {-1, 1}), obs);
  const StepResult result = env.step(Values{0, 0}, obs);
  EXPECT_EQ(result.reward, 1);  // of the goal reached
  const Values info = info_of(env);
  EXPECT_EQ(info[0], 1);
  EXPECT_EQ(info[1], obs[2]);
  EXPECT_EQ(info[2], obs[3]);
  EXPECT_DOUBLE_EQ(info[7], std::hypot(obs[0] - obs[2], obs[1] - obs[3]));  // to the new one
  EXPECT_GT(std::hypot(obs[0] - obs[2], obs[1] - obs[3]), PointMaze::kGoalRadius);
  const Values shown = obs;
  EXPECT_EQ(env.step(Values{0, 0}, obs).reward, env.reward({-1, 1}, {shown[2], shown[3]}));
  EXPECT_EQ(info_of(env)[0], 0);

  PointMaze single = maze({.maze_map = "####\n#RG#\n####", .reset_target = true});
  single.reset(1, at({0.5, 0}, {0.5, 0}), obs);
  single.step(Values{0, 0}, obs);
  EXPECT_EQ(obs[2], 0.5);  // a lone goal stays
}

TEST(PointMaze, SuccessOfAMovedGoalIsPartOfTheState) {
  PointMaze env = maze({.reset_target = true}), other = maze({.reset_target = true});
  Values obs(8), again(8), state(env.spec().state_size);
  env.reset(1, at({-1, 1}, {-1, 1}), obs);
  env.step(Values{0, 0}, obs);
  env.state(state);
  other.set_state(state, again);
  EXPECT_EQ(obs, again);
  EXPECT_EQ(info_of(env), info_of(other));
  Values wrong = state;
  wrong[state.size() - 7] = 0.5;
  EXPECT_THROW(other.set_state(wrong, again), InvalidArgument);
  wrong = state;
  wrong[state.size() - 9] = 0;  // the goal, into the wall
  wrong[state.size() - 8] = 0;
  EXPECT_THROW(other.set_state(wrong, again), InvalidArgument);
  EXPECT_EQ(info_of(env), info_of(other));
}

}  // namespace
}  // namespace diffreward
