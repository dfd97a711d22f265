// HalfCheetah: a planar two-legged runner with six motors (Wawrzynski 2009), Gymnasium's v4 and v5.
//
//   observation  [17]  qpos without x [8]: z m, pitch, back thigh, shin, foot, front thigh, shin, foot rad;
//                      qvel [9]: x and z m/s, then the same angles rad/s
//   action       [6]   torque in [-1, 1] of (120, 90, 60, 120, 60, 30) N m; back thigh, shin, foot, then
//                      front
//   reward       forward_reward_weight * (x' - x) / dt - ctrl_cost_weight * |action|^2,
//                dt = 0.01 s * frame_skip
//   ends         never terminates; truncated after 1000 steps
//   reset        qpos + U(-s, s), qvel + s N(0, 1) with s = reset_noise_scale
//   info         x_position, x_velocity, reward_forward (reward_run in v4), reward_ctrl
//   versions     v4 and v5 differ in that name only
#pragma once

#include "envs/locomotion/mujoco_env.h"

namespace diffreward {

struct HalfCheetahConfig {
  int frame_skip = 5;  // MuJoCo steps of 0.01 s
  double forward_reward_weight = 1;
  double ctrl_cost_weight = 0.1;
  double reset_noise_scale = 0.1;
  bool exclude_current_positions_from_observation = true;
  PhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("frame_skip", self.frame_skip, "MuJoCo steps per step", Bounds{1, 1000});
    field("forward_reward_weight", self.forward_reward_weight, "weight of the forward velocity");
    field("ctrl_cost_weight", self.ctrl_cost_weight, "weight of the squared action");
    field("reset_noise_scale", self.reset_noise_scale, "scale of the noise at a reset", Bounds{0, 10});
    field("exclude_current_positions_from_observation", self.exclude_current_positions_from_observation,
          "leave x out of the observation");
    field("physics", self.physics, "physical parameters");
  }
};

class HalfCheetah final : public MujocoEnv {
 public:
  /// version: 4 or 5. Throws InvalidArgument for options out of range.
  HalfCheetah(std::string id, int version, const HalfCheetahConfig& config);
  std::optional<StepResult> recorded_step(std::span<const double> before, std::span<const double> action,
                                          std::span<const double> after) const override;

 protected:
  StepResult advance(std::span<const double> action, std::span<double> info) override;
  void reset_info(std::span<double> info) const override;
  void observe(std::span<double> obs) const override;

 private:
  /// The reward of a step along x, and its terms.
  StepResult pay(double x_before, double x, std::span<const double> action, std::span<double> info) const;

  HalfCheetahConfig config_;
};

}  // namespace diffreward
