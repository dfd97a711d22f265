// The maze on MuJoCo: D4RL's model. One compiled model serves all instances of a map.
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "envs/maze2d/maze2d.h"
#include "envs/maze2d/mjcf.h"
#include "envs/maze2d/physics.h"
#include "envs/mujoco_model.h"

namespace diffreward {
namespace {

constexpr int kState = mjSTATE_INTEGRATION;  // all that a step reads, the solver's warm start included

class MujocoPhysics final : public MazePhysics {
 public:
  MujocoPhysics(const MazeMap& map, const MazePhysicsConfig& physics)
      : model_(shared_mujoco_model(
            "Maze2D", maze_mjcf(map), 0,
            {.mass_scale = physics.mass_scale, .damping_scale = physics.damping_scale})),
        data_(make_mujoco_data("Maze2D", *model_)),
        rows_(map.rows()),
        columns_(map.columns()) {}

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
    throw_on_mujoco_warning("Maze2D", *data_);
  }

  Point position() const override { return {data_->qpos[0], data_->qpos[1]}; }
  Point velocity() const override { return {data_->qvel[0], data_->qvel[1]}; }

  std::size_t state_size() const override { return std::size_t(mj_stateSize(model_.get(), kState)); }
  void state(std::span<double> out) const override {
    mj_getState(model_.get(), data_.get(), out.data(), kState);
  }
  void set_state(std::span<const double> state) override {
    // MuJoCo's order: time, qpos [2], qvel [2], then what only MuJoCo reads.
    require(state[1] >= -0.7 && state[1] <= rows_ - 0.7 && state[2] >= -0.7 && state[2] <= columns_ - 0.7,
            "Maze2D state: expected a position inside the maze, got (", state[1], ", ", state[2], ")");
    for (const double value : state)
      require(std::abs(value) <= 1e6, "Maze2D state: expected values within 1e6, got ", value);
    mj_resetData(model_.get(), data_.get());  // clears warnings of an episode that failed
    mj_setState(model_.get(), data_.get(), state.data(), kState);
  }

 private:
  std::shared_ptr<const mjModel> model_;
  std::unique_ptr<mjData, void (*)(mjData*)> data_;
  int rows_, columns_;
};

}  // namespace

std::string maze_mjcf(const MazeMap& map) {
  // Numbers are written as in D4RL's model; the ground only touches, it bears nothing: there is no gravity.
  std::string out =
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
      "    <body name=\"particle\" pos=\"1.2 1.2 0\">\n"
      "      <geom name=\"particle_geom\" type=\"sphere\" size=\"0.1\" contype=\"1\"/>\n"
      "      <joint name=\"ball_x\" type=\"slide\" pos=\"0 0 0\" axis=\"1 0 0\"/>\n"
      "      <joint name=\"ball_y\" type=\"slide\" pos=\"0 0 0\" axis=\"0 1 0\"/>\n"
      "    </body>\n";
  for (int r = 0; r < map.rows(); ++r)
    for (int c = 0; c < map.columns(); ++c)
      if (!map.free({r, c}))
        out += concat("    <geom name=\"wall_", r, "_", c, "\" type=\"box\" size=\"0.5 0.5 0.2\" pos=\"",
                      r + 1, " ", c + 1, " 0\"/>\n");
  out +=
      "  </worldbody>\n"
      "  <actuator>\n"
      "    <motor joint=\"ball_x\" ctrllimited=\"true\" ctrlrange=\"-1 1\" gear=\"100\"/>\n"
      "    <motor joint=\"ball_y\" ctrllimited=\"true\" ctrlrange=\"-1 1\" gear=\"100\"/>\n"
      "  </actuator>\n"
      "</mujoco>\n";
  return out;
}

std::unique_ptr<MazePhysics> make_mujoco_physics(const MazeMap& map, const MazePhysicsConfig& physics) {
  return std::make_unique<MujocoPhysics>(map, physics);
}

}  // namespace diffreward
