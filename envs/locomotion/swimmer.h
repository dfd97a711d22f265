// Swimmer: three links in a viscous plane with two motors (Coulom 2002), Gymnasium's v4 and v5.
//
//   observation  [8]  qpos without x and y [3]: heading, first joint, second joint rad;
//                     qvel [5]: x and y m/s, then the same angles rad/s
//   action       [2]  torque in [-1, 1] of 150 N m at the two joints
//   reward       forward_reward_weight * (x' - x) / dt - ctrl_cost_weight * |action|^2,
//                dt = 0.01 s * frame_skip
//   ends         never terminates; truncated after 1000 steps
//   reset        qpos and qvel + U(-s, s) with s = reset_noise_scale
//   info         x_position, y_position, distance_from_origin, x_velocity, y_velocity, reward_forward
//                (reward_fwd in v4), reward_ctrl; v4 tells reward_fwd once more, as forward_reward
//   versions     v4 and v5 differ in these names only
#pragma once

#include "envs/locomotion/mujoco_env.h"

namespace diffreward {

struct SwimmerConfig {
  int frame_skip = 4;  // MuJoCo steps of 0.01 s
  double forward_reward_weight = 1;
  double ctrl_cost_weight = 1e-4;
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
          "leave x and y out of the observation");
    field("physics", self.physics, "physical parameters");
  }
};

class Swimmer final : public MujocoEnv {
 public:
  /// version: 4 or 5. Throws InvalidArgument for options out of range.
  Swimmer(std::string id, int version, const SwimmerConfig& config);
  std::optional<StepResult> recorded_step(std::span<const double> before, std::span<const double> action,
                                          std::span<const double> after) const override;

 protected:
  StepResult advance(std::span<const double> action, std::span<double> info) override;
  void reset_info(std::span<double> info) const override;
  void observe(std::span<double> obs) const override;

 private:
  /// The reward of a step from one position (x, y) to another, and its terms.
  StepResult pay(std::span<const double> before, std::span<const double> after,
                 std::span<const double> action, std::span<double> info) const;

  SwimmerConfig config_;
  int version_;
};

}  // namespace diffreward
