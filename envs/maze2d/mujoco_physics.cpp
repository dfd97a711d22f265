// The mazes on MuJoCo: D4RL's model and Gymnasium-Robotics'. One compiled model serves all instances of a
// map.
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "envs/maze2d/mjcf.h"
#include "envs/maze2d/physics.h"
#include "envs/mujoco_model.h"

namespace diffreward {
namespace {

constexpr int kState = mjSTATE_INTEGRATION;  // all that a step reads, the solver's warm start included

class MujocoPhysics final : public MazePhysics {
 public:
  /// `name` is for messages; the maze covers [low, high] of qpos.
  MujocoPhysics(const char* name, const std::string& mjcf, const MazePhysicsConfig& physics, Point low,
                Point high)
      : name_(name),
        model_(shared_mujoco_model(
            name, mjcf, 0, {.mass_scale = physics.mass_scale, .damping_scale = physics.damping_scale})),
        data_(make_mujoco_data(name, *model_)),
        low_(low),
        high_(high) {}

  void place(Point position, Point velocity) override {
    mj_resetData(model_.get(), data_.get());
    std::copy(position.begin(), position.end(), data_->qpos);
    std::copy(velocity.begin(), velocity.end(), data_->qvel);
  }

  void step(Point force) override {
    for (int i = 0; i < 2; ++i) {
      data_->qvel[i] = std::clamp(data_->qvel[i], -kMaxSpeed, kMaxSpeed);
      data_->ctrl[i] = force[std::size_t(i)];
    }
    mj_step(model_.get(), data_.get());
    throw_on_mujoco_warning(name_, *data_);
  }

  Point position() const override { return {data_->qpos[0], data_->qpos[1]}; }
  Point velocity() const override { return {data_->qvel[0], data_->qvel[1]}; }

  std::size_t state_size() const override { return std::size_t(mj_stateSize(model_.get(), kState)); }
  void state(std::span<double> out) const override {
    mj_getState(model_.get(), data_.get(), out.data(), kState);
  }
  void set_state(std::span<const double> state) override {
    // MuJoCo's order: time, qpos [2], qvel [2], then what only MuJoCo reads.
    require(state[1] >= low_[0] && state[1] <= high_[0] && state[2] >= low_[1] && state[2] <= high_[1], name_,
            " state: expected a position inside the maze, got (", state[1], ", ", state[2], ")");
    for (const double value : state)
      require(std::abs(value) <= 1e6, name_, " state: expected values within 1e6, got ", value);
    mj_resetData(model_.get(), data_.get());  // clears warnings of an episode that failed
    mj_setState(model_.get(), data_.get(), state.data(), kState);
  }

 private:
  std::string name_;
  std::shared_ptr<const mjModel> model_;
  std::unique_ptr<mjData, void (*)(mjData*)> data_;
  Point low_, high_;
};

/// The model with the ball's frame at `ball` ("x y z") between `walls`, lines of geoms.
std::string mjcf_text(const std::string& ball, const std::string& walls) {
  // Numbers are written as in D4RL's model; the ground only touches, it bears nothing: there is no gravity.
  return concat(
      "<mujoco model=\"maze2d\">\n"
      "  <compiler inertiafromgeom=\"true\" angle=\"radian\"/>\n"
      "  <option timestep=\"0.01\" gravity=\"0 0 0\" iterations=\"20\" integrator=\"Euler\"/>\n"
      "  <default>\n"
      "    <joint damping=\"1\" limited=\"false\"/>\n"
      "    <geom friction=\".5 .1 .1\" density=\"1000\" margin=\"0.002\" condim=\"1\" contype=\"2\" "
      "conaffinity=\"1\"/>\n"
      "  </default>\n"
      "  <worldbody>\n"
      "    <geom name=\"ground\" type=\"plane\" size=\"40 40 0.25\" pos=\"0 0 -0.1\" contype=\"1\" "
      "conaffinity=\"0\"/>\n"
      "    <body name=\"particle\" pos=\"",
      ball,
      "\">\n"
      "      <geom name=\"particle_geom\" type=\"sphere\" size=\"0.1\" contype=\"1\"/>\n"
      "      <joint name=\"ball_x\" type=\"slide\" pos=\"0 0 0\" axis=\"1 0 0\"/>\n"
      "      <joint name=\"ball_y\" type=\"slide\" pos=\"0 0 0\" axis=\"0 1 0\"/>\n"
      "    </body>\n",
      walls,
      "  </worldbody>\n"
      "  <actuator>\n"
      "    <motor joint=\"ball_x\" ctrllimited=\"true\" ctrlrange=\"-1 1\" gear=\"100\"/>\n"
      "    <motor joint=\"ball_y\" ctrllimited=\"true\" ctrlrange=\"-1 1\" gear=\"100\"/>\n"
      "  </actuator>\n"
      "</mujoco>\n");
}

/// A box for each wall cell; `place` gives the attributes that say where it is.
template <class Place>
std::string walls_text(const MazeMap& map, Place place) {
  std::string out;
  for (int r = 0; r < map.rows(); ++r)
    for (int c = 0; c < map.columns(); ++c)
      if (!map.free({r, c}))
        out += concat("    <geom name=\"wall_", r, "_", c, "\" type=\"box\" size=\"0.5 0.5 0.2\" ",
                      place(r, c), "/>\n");
  return out;
}

}  // namespace

std::string maze_mjcf(const MazeMap& map) {
  return mjcf_text("1.2 1.2 0",
                   walls_text(map, [](int r, int c) { return concat("pos=\"", r + 1, " ", c + 1, " 0\""); }));
}

std::string point_maze_mjcf(const MazeMap& map) {
  return mjcf_text("0 0 0", walls_text(map, [&](int r, int c) {
                     return concat("pos=\"", c + 0.5 - map.columns() / 2.0, " ", map.rows() / 2.0 - (r + 0.5),
                                   " 0.2\" contype=\"1\"");
                   }));
}

std::unique_ptr<MazePhysics> make_mujoco_physics(const MazeMap& map, const MazePhysicsConfig& physics) {
  return std::make_unique<MujocoPhysics>("Maze2D", maze_mjcf(map), physics, Point{-0.7, -0.7},
                                         Point{map.rows() - 0.7, map.columns() - 0.7});
}

std::unique_ptr<MazePhysics> make_point_maze_physics(const MazeMap& map, const MazePhysicsConfig& physics) {
  const double x = map.columns() / 2.0, y = map.rows() / 2.0;
  return std::make_unique<MujocoPhysics>("PointMaze", point_maze_mjcf(map), physics, Point{-x, -y},
                                         Point{x, y});
}

}  // namespace diffreward
