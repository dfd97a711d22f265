#include "envs/maze2d/maze2d.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "core/error.h"
#include "envs/catalog.h"
#include "envs/maze2d/mjcf.h"

namespace diffreward {
namespace {

using testing::HasSubstr;
using Values = std::vector<double>;

Maze2D maze(const MazeConfig& config) {
  return Maze2D("Maze2D-Test-v0", config, 0, 0, 1);
}

ResetOptions at(Point start, Point goal) {
  return {.fixed = {{"start", {start[0], start[1]}}, {"goal", {goal[0], goal[1]}}}};
}

class BothEngines : public testing::TestWithParam<const char*> {
 protected:
  MazeConfig config(const std::string& map = "umaze") const { return {.engine = GetParam(), .map = map}; }
};
INSTANTIATE_TEST_SUITE_P(Engines, BothEngines, testing::Values("box2d", "mujoco"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Maze2D, SpecsCarryD4rlsLimitsAndReferences) {
  const struct {
    const char* name;
    int steps;
    double random, expert;
  } expected[] = {{"Open", 150, 0.01, 20.66},
                  {"UMaze", 300, 23.85, 161.86},
                  {"Medium", 600, 13.13, 277.39},
                  {"Large", 800, 6.7, 273.99}};
  for (const auto& e : expected)
    for (const char* engine : {"Maze2D-", "Maze2DMuJoCo-"}) {
      const EnvSpec spec = env_spec(engine + std::string(e.name) + "-v0");
      EXPECT_EQ(spec.max_steps, e.steps);
      EXPECT_EQ(spec.random_return, e.random);
      EXPECT_EQ(spec.expert_return, e.expert);
    }
  EXPECT_EQ(env_spec("Maze2D-UMaze-v0", {{"reward", "dense"}}).expert_return, 193.66285642381482);
  // Another task has no reference.
  EXPECT_TRUE(std::isnan(env_spec("Maze2D-UMaze-v0", {{"goal_cell", {3, 1}}}).expert_return));
  EXPECT_TRUE(std::isnan(env_spec("Maze2D-UMaze-v0", {{"map", "large"}}).random_return));
}

TEST(Maze2D, EngineBelongsToTheId) {
  EXPECT_NO_THROW(make_env("Maze2D-UMaze-v0", {{"engine", "box2d"}}));
  EXPECT_THROW(make_env("Maze2D-UMaze-v0", {{"engine", "mujoco"}}), InvalidArgument);
  EXPECT_THROW(make_env("Maze2DMuJoCo-UMaze-v0", {{"engine", "box2d"}}), InvalidArgument);
}

TEST(Maze2D, MapsComeFromNamesTextsAndFiles) {
  EXPECT_EQ(maze_of("medium").rows(), 8);
  EXPECT_EQ(maze_of("###\n#G#\n###").rows(), 3);
  EXPECT_EQ(maze_of("###\\#G#\\###").rows(), 3);
  try {
    maze_of("mediun");
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("did you mean 'medium'"), HasSubstr("no file")));
  }
}

TEST_P(BothEngines, RewardIsPaidForTheStateReached) {
  for (const char* kind : {"sparse", "dense"}) {
    MazeConfig c = config();
    c.reward = kind;
    c.velocity_noise = 0;
    Maze2D env = maze(c);
    Values obs(4);
    env.reset(1, at({1, 1.7}, {1, 1}), obs);
    EXPECT_EQ(env.goal(), (Point{1, 1}));
    int paid = 0;
    for (int t = 0; t < 60; ++t) {
      const double reward = env.step(Values{0, -0.2}, obs).reward;
      const double distance = std::hypot(obs[0] - 1, obs[1] - 1);
      if (std::string(kind) == "sparse") {
        EXPECT_EQ(reward, distance <= 0.5 ? 1 : 0) << t;
        paid += reward > 0;
      } else {
        EXPECT_DOUBLE_EQ(reward, std::exp(-distance));
      }
      EXPECT_EQ(reward, env.reward_at({obs[0], obs[1]}));
    }
    if (std::string(kind) == "sparse") {
      EXPECT_GT(paid, 5);
      EXPECT_LT(paid, 55);
      EXPECT_EQ(env.reward_at({1, 1.5}), 1);
      EXPECT_EQ(env.reward_at({1, 1.5001}), 0);
    }
  }
}

TEST_P(BothEngines, SuccessIsTheStateThatTheSparseRewardPays) {
  MazeConfig c = config();
  c.velocity_noise = 0;
  Maze2D env = maze(c);
  const EnvSpec& spec = env.spec();
  Values obs(4), info(spec.info_size());
  env.reset(1, at({1, 1.7}, {1, 1}), obs);
  double successes = 0;
  for (int t = 0; t < 60; ++t) {
    const double reward = env.step(Values{0, -0.2}, obs).reward;
    env.info(info);
    EXPECT_EQ(info[*spec.info_offset("success")], reward) << t;
    EXPECT_EQ(info[*spec.info_offset("goal_distance")], std::hypot(obs[0] - 1, obs[1] - 1)) << t;
    successes += reward;
  }
  EXPECT_GT(successes, 5);
  EXPECT_LT(successes, 55);
  env.set_goal({3, 1});  // the new goal's
  env.info(info);
  EXPECT_EQ(info[*spec.info_offset("success")], 0);
  EXPECT_EQ(info[*spec.info_offset("goal_distance")], env.goal_distance(env.position()));
}

TEST_P(BothEngines, ResetFollowsD4rl) {
  Maze2D env = maze(config("large"));
  Values obs(4), info(8);
  std::set<Cell> cells;
  double square = 0, offset = 0;
  constexpr int kResets = 3000;
  for (int i = 0; i < kResets; ++i) {
    env.reset(i == 0 ? std::optional<std::uint64_t>(3) : std::nullopt, {}, obs);
    const Cell cell{int(std::lround(obs[0])), int(std::lround(obs[1]))};
    ASSERT_TRUE(env.map().free(cell));
    for (int k = 0; k < 2; ++k) {
      ASSERT_LE(std::abs(obs[std::size_t(k)] - cell[std::size_t(k)]), 0.1 + 1e-6);
      offset += std::abs(obs[std::size_t(k)] - cell[std::size_t(k)]) / (2 * kResets);
      square += obs[std::size_t(2 + k)] * obs[std::size_t(2 + k)] / (2 * kResets);
    }
    cells.insert(cell);
    env.info(info);
    const double distance = std::hypot(obs[0] - 7, obs[1] - 9);
    ASSERT_THAT(info, testing::ElementsAre(7, 9, obs[0], obs[1], obs[2], obs[3], distance, distance <= 0.5));
  }
  EXPECT_EQ(cells.size(), env.map().free_cells().size());
  EXPECT_NEAR(offset, 0.05, 0.003);
  EXPECT_NEAR(square, 0.01, 0.001);
}

TEST_P(BothEngines, JitterKeepsTheBallOffItsCellsWalls) {
  MazeConfig c = config("medium");
  c.start_jitter = c.goal_jitter = 0.4;
  c.random_goal = true;
  Maze2D env = maze(c);
  Values obs(4);
  double low = 0, high = 0;
  for (int i = 0; i < 2000; ++i) {
    env.reset(i == 0 ? std::optional<std::uint64_t>(4) : std::nullopt, {}, obs);
    ASSERT_TRUE(env.map().clear({obs[0], obs[1]}, Maze2D::kBallRadius - 1e-6));
    ASSERT_TRUE(env.map().clear(env.goal(), Maze2D::kBallRadius - 1e-6));
    const double offset = obs[0] - env.map().cell_at({obs[0], obs[1]})[0];
    low = std::min(low, offset);
    high = std::max(high, offset);
  }
  EXPECT_NEAR(low, -0.4, 0.01);
  EXPECT_NEAR(high, 0.2, 0.01);
}

TEST_P(BothEngines, ResetOptionsFixOneThingAndLeaveTheRest) {
  Maze2D env = maze(config("large"));
  Values free(4), obs(4);
  env.reset(8, {}, free);
  ResetOptions options;
  options.fixed["goal_cell"] = {1, 1};
  env.reset(8, options, obs);
  EXPECT_EQ(env.goal(), (Point{1, 1}));
  EXPECT_EQ(obs, free);  // the start is the one it would have been
  options.fixed["start_cell"] = {1, 2};
  env.reset(8, options, obs);
  EXPECT_EQ(env.map().cell_at({obs[0], obs[1]}), (Cell{1, 2}));
  EXPECT_EQ(obs[2], free[2]);
  env.reset(8, at({3.05, 3.1}, {7.2, 8.9}), obs);
  EXPECT_NEAR(obs[0], 3.05, 1e-6);
  EXPECT_NEAR(obs[1], 3.1, 1e-6);
  EXPECT_EQ(env.goal(), (Point{7.2, 8.9}));
  env.reset(8, {}, obs);
  EXPECT_EQ(env.goal(), (Point{7, 9}));  // options last for one episode
}

TEST_P(BothEngines, BadResetOptionsAreRefusedAndChangeNothing) {
  Maze2D env = maze(config());
  Values obs(4), before(env.spec().state_size), after(before.size());
  env.reset(1, {}, obs);
  env.state(before);
  const auto refused = [&](const ResetOptions& options, const char* word) {
    try {
      env.reset(2, options, obs);
      ADD_FAILURE() << word;
    } catch (const InvalidArgument& error) {
      EXPECT_THAT(error.what(), HasSubstr(word));
    }
    env.state(after);
    EXPECT_EQ(before, after);
  };
  refused({.fixed = {{"start_cell", {2, 1}}}}, "start_cell: expected a free cell, got (2, 1), a wall");
  refused({.fixed = {{"goal_cell", {-1, 7}}}}, "goal_cell: expected a free cell");
  refused({.fixed = {{"goal_cell", {1.5, 1}}}}, "goal_cell: expected a row and a column, got (1.5, 1)");
  refused({.fixed = {{"goal_cell", {1, 1e300}}}}, "goal_cell: expected a row and a column");
  refused({.fixed = {{"start", {2, 1}}}}, "start: expected a position in a free cell, got (2, 1)");
  refused({.fixed = {{"goal", {std::nan(""), 1}}}}, "goal: expected finite numbers");
  refused({.fixed = {{"goal", {1, 1}}, {"goal_cell", {1, 1}}}}, "both");
  refused({.fixed = {{"start", {1, 1}}, {"start_cell", {1, 1}}}}, "both");
  refused({.fixed = {{"goal", {1, 1}}}, .state = before}, "state alone");
  refused({.fixed = {{"goal_cel", {1, 1}}}}, "did you mean 'goal_cell'?");
  EXPECT_THROW(env.set_goal({2, 1}), InvalidArgument);
  EXPECT_EQ(env.goal(), (Point{1, 1}));
}

TEST_P(BothEngines, GoalsComeFromConfigMapOrChance) {
  Values obs(4);
  Maze2D mapped = maze(config());
  mapped.reset(1, {}, obs);
  EXPECT_EQ(mapped.goal(), (Point{1, 1}));
  MazeConfig c = config();
  c.goal_cell = {3, 1};
  Maze2D chosen = maze(c);
  chosen.reset(1, {}, obs);
  EXPECT_EQ(chosen.goal(), (Point{3, 1}));
  chosen.set_goal({3.1, 2.9});
  EXPECT_EQ(chosen.goal(), (Point{3.1, 2.9}));
  for (const bool drawn : {true, false}) {
    c = config(drawn ? "umaze" : "#####\n#OOO#\n#####");  // the second has no G
    c.random_goal = drawn;
    Maze2D random = maze(c);
    std::set<Point> goals;
    for (std::uint64_t i = 0; i < 100; ++i) {
      random.reset(i, {}, obs);
      goals.insert(random.goal());
    }
    EXPECT_EQ(goals.size(), random.map().free_cells().size());
  }
  c = config();
  c.goal_cell = {2, 1};
  EXPECT_THROW(maze(c), InvalidArgument);
  c.goal_cell = {1};
  EXPECT_THROW(maze(c), InvalidArgument);
  c = config("#####\n#SOG#\n#####");
  Maze2D started = maze(c);
  started.reset(7, {}, obs);
  EXPECT_EQ(started.map().cell_at({obs[0], obs[1]}), (Cell{1, 1}));
}

// v' = (m clip(v) + h F) / (m + h d), x' = x + h v'.
TEST_P(BothEngines, FreeFlightHasItsClosedForm) {
  Maze2D env = maze(config("open"));
  Values obs(4);
  ResetOptions options = at({1, 1}, {2, 3});
  env.reset(1, options, obs);
  const double mass = 1000 * 4.0 / 3.0 * M_PI * 1e-3, h = 0.01;
  double x = obs[1], v = obs[3];
  for (int t = 0; t < 100; ++t) {
    const double force = t < 25 ? 0.9 : -0.3;
    env.step(Values{0, force}, obs);
    v = (mass * std::clamp(v, -5.0, 5.0) + h * 100 * force) / (mass + h);
    x += h * v;
    ASSERT_NEAR(obs[3], v, 1e-4) << t;
    ASSERT_NEAR(obs[1], x, 1e-4) << t;
  }
}

// The ball may not leave its maze: not through faces, seams, corners, nor where two walls meet at a corner
// only.
TEST_P(BothEngines, WallsHold) {
  for (const std::string map :
       {"open", "umaze", "medium", "large", "####\n#O##\n##O#\n####",
        "#######\n#O#O#O#\n##O#O##\n#O#O#O#\n#######", "#####\n#OOO#\n#O#O#\n#OOO#\n#####"}) {
    Maze2D env = maze(config(map));
    Rng rng(6);
    Values obs(4), action(2);
    env.reset(1, {}, obs);
    for (int t = 0; t < 20000; ++t) {
      if (t % 400 == 0) env.reset(std::nullopt, {}, obs);
      if (t % 20 == 0)
        for (double& a : action) a = rng.below(3) == 0 ? rng.uniform(-1, 1) : rng.below(2) ? 1 : -1;
      const Cell before = env.map().cell_at(env.position());
      env.step(action, obs);
      ASSERT_TRUE(env.map().clear(env.position(), 0.02))
          << map << " step " << t << " at " << obs[0] << " " << obs[1];
      const Cell after = env.map().cell_at(env.position());
      const bool around = env.map().free({before[0], after[1]}) || env.map().free({after[0], before[1]});
      ASSERT_LE(std::abs(before[0] - after[0]) + std::abs(before[1] - after[1]), around ? 2 : 1)
          << map << " step " << t;
    }
  }
}

TEST_P(BothEngines, ABallPressedAgainstAWallRestsAtItsRadius) {
  Maze2D env = maze(config("open"));
  Values obs(4);
  env.reset(1, at({1, 3}, {1, 3}), obs);
  for (int t = 0; t < 300; ++t) env.step(Values{-0.02, 0}, obs);
  EXPECT_NEAR(obs[0], 0.3 + 0.1, 0.005);
  EXPECT_NEAR(obs[2], 0, 1e-3);
  // Walls are frictionless: sliding along one is free flight. In D4RL's model each cell is a box of its own,
  // whose edge is felt a little at the seams; Box2D's outlines have no seams.
  const double tolerance = std::string(GetParam()) == "box2d" ? 1e-4 : 0.02;
  Maze2D free = maze(config("open"));
  Values other(4);
  env.reset(1, at({0.402, 1}, {1, 3}), obs);
  free.reset(1, at({2, 1}, {1, 3}), other);
  for (int t = 0; t < 120; ++t) {
    env.step(Values{-0.3, 0.2}, obs);
    free.step(Values{0, 0.2}, other);
    if (other[1] > 5) break;
    ASSERT_NEAR(obs[1], other[1], tolerance) << t;
  }
}

/// How often an episode met the hard cases for exact resumption.
struct Meetings {
  int faces = 0, inner_corners = 0, outer_corners = 0;
};

void count_meetings(const MazeMap& map, Point p, Meetings& met) {
  constexpr double kReach = 0.106;
  const auto blocked = [&](double dx, double dy) { return !map.free(map.cell_at({p[0] + dx, p[1] + dy})); };
  const bool row = blocked(kReach, 0) || blocked(-kReach, 0),
             column = blocked(0, kReach) || blocked(0, -kReach);
  met.faces += row != column;
  met.inner_corners += row && column;
  met.outer_corners += !row && !column && !map.clear(p, kReach - 0.001);
}

TEST_P(BothEngines, ResumesExactlyAmidCollisions) {
  Meetings met;
  for (const std::string map :
       {"medium", "large", "#######\n#OOOOO#\n#O#O#O#\n#OOOOO#\n#O#O#O#\n#OOOOO#\n#######"}) {
    Maze2D env = maze(config(map)), other = maze(config(map));
    Rng rng(12);
    Values obs(4), seen(4), action(2), state(env.spec().state_size), resumed(state.size());
    other.reset(99, {}, seen);
    for (int t = 0; t < 12000; ++t) {
      if (t % 300 == 0) env.reset(std::uint64_t(t), {}, obs);
      if (t % 15 == 0)
        for (double& a : action) a = rng.below(2) ? rng.uniform(-1, 1) : rng.below(2) ? 1 : -1;
      // `other` comes from somewhere else each time it is restored, so nothing it remembers can help.
      if (t % 4 == 0) {
        other.reset(std::uint64_t(t) + 7, {}, seen);
        for (int k = 0; k < 3; ++k) other.step(Values{1, -1}, seen);
        env.state(state);
        other.set_state(state, seen);
      }
      env.step(action, obs);
      other.step(action, seen);
      count_meetings(env.map(), env.position(), met);
      ASSERT_EQ(std::memcmp(obs.data(), seen.data(), sizeof(double) * 4), 0) << map << " step " << t;
      env.state(state);
      other.state(resumed);
      ASSERT_EQ(std::memcmp(state.data(), resumed.data(), sizeof(double) * state.size()), 0)
          << map << " step " << t;
    }
  }
  EXPECT_GT(met.faces, 5000);
  EXPECT_GT(met.inner_corners, 500);
  EXPECT_GT(met.outer_corners, 100);
}

TEST(Maze2D, EnginesAgreeInFreeFlight) {
  Maze2D box2d = maze({.engine = "box2d", .map = "open"}), mujoco = maze({.engine = "mujoco", .map = "open"});
  Rng rng(2);
  Values a(4), b(4);
  int compared = 0;
  for (std::uint64_t episode = 0; episode < 40; ++episode) {
    const auto options = at({2 + rng.uniform(-0.2, 0.2), 3 + rng.uniform(-1, 1)}, {2, 3});
    box2d.reset(episode, options, a);
    mujoco.reset(episode, options, b);
    Values action(2);
    double length = 0;
    bool flying = true;
    for (int t = 0; t < 100 && flying; ++t) {
      if (t % 10 == 0) action = {rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4)};
      box2d.step(action, a);
      mujoco.step(action, b);
      length += 0.01 * std::hypot(b[2], b[3]);
      flying = mujoco.map().clear({b[0], b[1]}, 0.12);
    }
    if (!flying) continue;
    ++compared;
    // The bar is 1 % of the way; they agree a hundred times better.
    EXPECT_LE(std::hypot(a[0] - b[0], a[1] - b[1]), 1e-4 * length + 1e-6);
  }
  EXPECT_GE(compared, 15);
}

// Only the arithmetic of Box2D and of this library: equal on every machine, at every optimisation level.
TEST(Maze2D, Box2dRolloutHasItsGoldenHash) {
  Maze2D env = maze({.engine = "box2d", .map = "large", .velocity_noise = 0});
  Values obs(4), action(2);
  env.reset(1, at({1, 1}, {7, 9}), obs);
  Rng rng(1);
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a over the observations' bytes
  for (int t = 0; t < 10000; ++t) {
    if (t % 20 == 0) action = {rng.uniform(-1, 1), rng.uniform(-1, 1)};
    env.step(action, obs);
    unsigned char bytes[4 * sizeof(double)];
    std::memcpy(bytes, obs.data(), sizeof bytes);
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  }
  EXPECT_EQ(hash, 0xc74aff2eb87ca336u);
}

TEST(Maze2D, MjcfPlacesWallsAsD4rlDoes) {
  const std::string text = maze_mjcf(MazeMap::named("umaze"));
  EXPECT_THAT(text, HasSubstr("name=\"wall_2_0\" type=\"box\" size=\"0.5 0.5 0.2\" pos=\"3 1 0\""));
  EXPECT_THAT(text, HasSubstr("<body name=\"particle\" pos=\"1.2 1.2 0\">"));
  EXPECT_THAT(text, testing::Not(HasSubstr("wall_1_1")));
}

}  // namespace
}  // namespace diffreward
