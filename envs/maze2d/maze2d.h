// Maze2D: a force-driven ball finds a goal in a maze (D4RL's maze2d task), native, on Box2D or on MuJoCo.
//
//   observation  0  x   row position        [cells = m]     (positions: see maze_map.h)
//                1  y   column position     [cells = m]
//                2  vx  row velocity        [m/s]
//                3  vy  column velocity     [m/s]
//   action       0  force along rows, 1 along columns, in [-1, 1] of 100 N
//   reward       sparse: 1 where the *reached* state is within 0.5 of the goal, else 0
//                dense:  exp(-distance of the reached state to the goal)
//   ends         never terminates; truncated by VectorEnv after 150 steps (open), 300 (umaze),
//                600 (medium), 800 (large)
//   reset        a random free cell, position + U(-start_jitter, start_jitter),
//                velocity N(0, velocity_noise^2); the
//                range is cut to where the ball touches no wall of its cell ([r - 0.6, r + 0.2] in row r),
//                which leaves D4RL's 0.1 whole. A reset always draws the same count of numbers, so options
//                that fix one thing leave the others as they were.
//   options      of a reset: start_cell and goal_cell, (row, column), are jittered as those drawn are; start
//                and goal are exact positions. All must lie in free cells.
//   info         goal [2] cells, qpos [2] cells, qvel [2] m/s, goal_distance [1] cells, success [1]: 1 where
//                goal_distance <= 0.5; with at_goal = new_goal also goal_switched [1]: 1 where the step moved it
//   goal         stays, or (at_goal = new_goal, D4RL's base data) goes to a random free cell at the end of a step
//                that came within 0.1 cells of it; the step was paid for the old one
//   physics      ball of radius 0.1 m and mass 4.189 kg, damping 1 N s/m, force 100 N, 0.01 s a step, no
//                gravity (option `physics` scales mass and damping);
//                the velocity is clipped to [-5, 5] m/s per axis before each step (D4RL)
//   versions     v0  first release
//
// Ids: Maze2D-{Open,UMaze,Medium,Large}-v0 on Box2D, Maze2DMuJoCo-{...}-v0 on MuJoCo with D4RL's model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "envs/env.h"
#include "envs/maze2d/ball.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {

struct MazeConfig {
  std::string engine = "box2d";     // box2d or mujoco
  std::string map = "umaze";        // open, umaze, medium, large, a file, or the map's text
  std::string reward = "sparse";    // sparse or dense
  std::vector<int> goal_cell = {};  // (row, column); empty: the map's G, else drawn at each reset
  bool random_goal = false;         // draw the goal's cell at each reset
  std::string at_goal = "stay";     // stay, or new_goal: a reached goal moves to a random cell
  double goal_jitter = 0;           // cells; uniform offset of the goal per axis at each reset
  double start_jitter = 0.1;        // cells; uniform offset of the start per axis
  double velocity_noise = 0.1;      // m/s; standard deviation of the initial velocity
  MazePhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("engine", self.engine, "physics engine", Choices{"box2d", "mujoco"});
    field("map", self.map, "open, umaze, medium, large, a file name, or a map's text");
    field("reward", self.reward, "sparse: within 0.5 cells of the goal; dense: exp(-distance)",
          Choices{"sparse", "dense"});
    field("goal_cell", self.goal_cell, "goal as row, column; empty for the map's own", Bounds{0, 1023});
    field("random_goal", self.random_goal, "draw the goal's cell at each reset");
    field("at_goal", self.at_goal, "a reached goal stays, or moves to a random cell within the episode",
          Choices{"stay", "new_goal"});
    field("goal_jitter", self.goal_jitter, "uniform offset of the goal per axis, cells", Bounds{0, 1});
    field("start_jitter", self.start_jitter, "uniform offset of the start per axis, cells", Bounds{0, 1});
    field("velocity_noise", self.velocity_noise, "standard deviation of the initial velocity, m/s",
          Bounds{0, 5});
    field("physics", self.physics, "physical parameters");
  }
};

/// The ball and the walls, without task: what differs between the two engines (maze2d/physics.h).
class MazePhysics;

class Maze2D final : public Env {
 public:
  /// `id` names the spec; reference returns are not-a-number where there are none. Throws InvalidArgument for
  /// a bad map or a goal inside a wall.
  Maze2D(std::string id, const MazeConfig& config, int max_steps, double random_return, double expert_return);
  ~Maze2D() override;

  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) override;
  void state(std::span<double> out) const override;
  void set_state(std::span<const double> state, std::span<double> obs) override;
  /// goal [2], qpos [2] and qvel [2] (D4RL's infos/goal, infos/qpos, infos/qvel), goal_distance [1], success
  /// [1].
  void info(std::span<double> out) const override;
  Image render(int width, int height) const override;

  const MazeConfig& config() const { return config_; }
  const MazeMap& map() const { return map_; }
  Point position() const;
  Point velocity() const;
  Point goal() const { return goal_; }
  /// The goal of every episode, before jitter; none where it is drawn at each reset.
  std::optional<Point> fixed_goal() const { return fixed_goal_; }
  /// Moves the goal without touching the ball. Throws InvalidArgument inside a wall.
  void set_goal(Point goal);
  /// The reward of being at `position` now.
  double reward_at(Point position) const;
  /// From `position` to the goal, cells.
  double goal_distance(Point position) const;
  /// Goals within this distance count as reached, cells.
  static constexpr double kGoalRadius = 0.5;
  static constexpr double kBallRadius = 0.1;

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) override;

 private:
  void write_obs(std::span<double> obs) const;
  void restore(std::span<const double> state);

  MazeConfig config_;
  EnvSpec spec_;
  MazeMap map_;
  std::optional<Point> fixed_goal_;  // before jitter; none: drawn at each reset
  bool dense_ = false;
  bool moves_goal_ = false;
  std::unique_ptr<MazePhysics> physics_;
  Rng rng_;
  Point goal_{};
  bool goal_switched_ = false;  // by the latest step
};

/// The map that MazeConfig::map means: a name, a map's text (it has line breaks) or a file. Throws
/// InvalidArgument.
MazeMap maze_of(const std::string& map);

}  // namespace diffreward
