// The ball and the walls without the task: what differs between the two engines. Private to maze2d/.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "envs/maze2d/ball.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {

// Constants of D4RL's model; both engines are built from them.
inline constexpr double kSecondsPerStep = 0.01;
inline constexpr double kMaxForce = 100;  // N per axis
inline constexpr double kDamping = 1;     // N s/m
inline constexpr double kDensity = 1000;  // kg/m^3, of the ball
inline constexpr double kMaxSpeed = 5;    // m/s per axis, enforced before each step

class MazePhysics {
 public:
  virtual ~MazePhysics() = default;

  /// Puts the ball somewhere and forgets everything else, so that what follows depends on these numbers
  /// alone.
  virtual void place(Point position, Point velocity) = 0;
  /// One step of kSecondsPerStep. force: in [-1, 1] of kMaxForce. Throws Error when the simulator complains.
  virtual void step(Point force) = 0;
  virtual Point position() const = 0;  // cells = m
  virtual Point velocity() const = 0;  // m/s

  virtual std::size_t state_size() const = 0;
  virtual void state(std::span<double> out) const = 0;
  /// Resumes to equal bits. Throws InvalidArgument, changing nothing, for values no simulation can reach.
  virtual void set_state(std::span<const double> state) = 0;
};

std::unique_ptr<MazePhysics> make_box2d_physics(const MazeMap& map, const MazePhysicsConfig& physics);
std::unique_ptr<MazePhysics> make_mujoco_physics(const MazeMap& map, const MazePhysicsConfig& physics);
/// In PointMaze's coordinates: positions are (x, y) from the middle of the maze.
std::unique_ptr<MazePhysics> make_point_maze_physics(const MazeMap& map, const MazePhysicsConfig& physics);

}  // namespace diffreward
