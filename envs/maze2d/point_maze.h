// PointMaze: the force-driven ball of Maze2D, told its goal: Gymnasium-Robotics' goal-conditioned maze tasks,
// on MuJoCo.
//
//   observation  [8]  achieved_goal [2]: x, y of the ball m; desired_goal [2]: x, y of the goal m;
//                observation [4]: x, y m, vx, vy m/s. EnvSpec::parts names them, in the order in which
//                Gymnasium flattens its dictionary.
//   positions    The origin is the middle of the maze, x grows with the column, y against the row. Cells are
//                squares of 1 m; the middle of (row, column) is (column + 0.5 - columns / 2, rows / 2 - row -
//                0.5).
//   action       [2]  force along x and y, in [-1, 1] of 100 N
//   reward       sparse: 1 where d <= 0.45, else 0;  dense: exp(-d)
//                d = distance of the *reached* position to the goal, m
//   ends         never, or with continuing_task off where d <= 0.45; truncated after 300 (Open, UMaze), 600
//                (Medium), 800 (Large) steps
//   goal moves   with continuing_task and reset_target, when reached and when the map has more goal cells
//                than one: to a goal drawn anew until it is farther than 0.45 m. Reward, termination and
//                success of that step belong to the goal reached. Its observation shows the new goal, where
//                Gymnasium-Robotics shows the old one once more (its issue #258), so that the reward cannot
//                be computed from that one observation.
//   reset        goal: a random goal cell's middle + U(-n, n) per axis, n = position_noise_range. Start:
//                likewise from the start cells whose middles are farther than 0.5 m from the goal (from all
//                start cells where none is; Gymnasium-Robotics then searches for ever). At rest. Always the
//                same count of random numbers, so options that fix a start leave the goal as it was.
//   options      of a reset: start_cell (from Python also reset_cell, as Gymnasium-Robotics calls it) and
//                goal_cell, (row, column), stand for their middles, offset as above; start and goal are
//                exact positions (x, y). All must lie in free cells.
//   info         success [1], Gymnasium-Robotics': 1 where d <= 0.45; then goal [2] m, qpos [2] m, qvel [2]
//   m/s
//                and goal_distance [1] m, of which goal and distance are those the next step is paid for
//   physics      ball of radius 0.1 m and mass 4.189 kg, damping 1 N s/m, 0.01 s a step, no gravity; the
//                velocity is clipped to [-5, 5] m/s per axis before each step
//   maps         text as in maze_map.h, but R (or S) marks start cells, G goal cells and C cells for both,
//                any count of each. Where neither R nor C stands, starts are the unmarked cells; where
//                neither G nor C, goals are. From Python also Gymnasium-Robotics' lists of rows: 1 for a
//                wall, 0 for an unmarked cell, "r", "g" and "c" for R, G and C. The border must be walls.
//   versions     v3  Gymnasium-Robotics' v3, equal to its bits from equal starts and goals, but for the
//                observation of a moved goal, and for exp(), which may differ from NumPy's in the last bit
//
// Ids: PointMaze_{Open,UMaze,Medium,Large}[_Diverse_G|_Diverse_GR][Dense]-v3; UMaze has no Diverse.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "envs/env.h"
#include "envs/maze2d/ball.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {

struct PointMazeConfig {
  std::string maze_map = "umaze";
  std::string reward_type = "sparse";
  bool continuing_task = true;
  bool reset_target = false;
  double position_noise_range = 0.25;  // m
  MazePhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("maze_map", self.maze_map,
          "open, umaze, medium, large, one of these but umaze with _diverse_g or _diverse_gr, a file name, "
          "or a map's text");
    field("reward_type", self.reward_type, "sparse: within 0.45 m of the goal; dense: exp(-distance)",
          Choices{"sparse", "dense"});
    field("continuing_task", self.continuing_task, "go on where the goal is reached");
    field("reset_target", self.reset_target, "move the goal where a continuing task reaches it");
    field("position_noise_range", self.position_noise_range,
          "uniform offset of start and goal per axis, m; at 0.4 the ball touches its cell's walls",
          Bounds{0, 0.4});
    field("physics", self.physics, "the ball's parameters, which may differ per instance");
  }
};

class MazePhysics;

class PointMaze final : public Env {
 public:
  /// Throws InvalidArgument for options out of range, a bad map, or one without a cell to start in or to
  /// reach.
  PointMaze(std::string id, const PointMazeConfig& config, int max_steps);
  ~PointMaze() override;

  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) override;
  void state(std::span<double> out) const override;
  void set_state(std::span<const double> state, std::span<double> obs) override;
  /// success [1], goal [2] m, qpos [2] m, qvel [2] m/s, goal_distance [1] m; goal and distance are those that
  /// the next step is paid for, which differ from those of `success` where the goal has just moved.
  void info(std::span<double> out) const override;
  Image render(int width, int height) const override;

  const MazeMap& map() const { return map_; }
  const std::vector<Cell>& start_cells() const { return start_cells_; }
  const std::vector<Cell>& goal_cells() const { return goal_cells_; }
  /// The middle of a cell, (x, y) m.
  Point point_of(Cell cell) const;
  /// The cell of a position (x, y); outside of the maze {-1, -1}.
  Cell cell_at(Point position) const;
  /// What reaching `achieved` pays when `desired` is the goal.
  double reward(Point achieved, Point desired) const;

  /// Goals within this distance count as reached, m.
  static constexpr double kGoalRadius = 0.45;
  /// Starts are drawn farther than this from the goal, m.
  static constexpr double kStartDistance = 0.5;

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) override;

 private:
  void read_marks(std::string_view text);
  Point scatter(Point middle);
  Point draw_goal();
  Point draw_start(Point goal);
  bool reached() const;
  Point in_map(Point position) const;
  void write_obs(std::span<double> obs) const;
  void restore(std::span<const double> state);

  PointMazeConfig config_;
  EnvSpec spec_;
  MazeMap map_;
  std::vector<Cell> start_cells_, goal_cells_;
  bool dense_ = false;
  std::unique_ptr<MazePhysics> physics_;
  Rng rng_;
  Point goal_{};
  bool success_ = false;
};

}  // namespace diffreward
