// Humanoid: thirteen bodies with seventeen motors (Tassa et al. 2012), Gymnasium's v4 and v5.
//
//   observation  [348] in v5, [376] in v4, bodies in the model's order (assets/humanoid.xml):
//                qpos without x and y [22]: z m, orientation (quaternion w x y z), 17 joints rad;
//                qvel [23]: linear m/s, angular rad/s, 17 joints rad/s;
//                cinert [130]: inertia kg m^2 [6], mass times offset kg m [3] and mass kg of each body,
//                about the robot's centre of mass;
//                cvel [78]: angular rad/s and linear m/s velocity of each body, about the same point;
//                qfrc_actuator [17]: the motors' torques N m;
//                cfrc_ext [78]: contact torque N m and force N on each body, about the same point.
//                v4 has the world among the bodies and the root among the joints: [140, 84, 23, 84]
//   action       [17]  torque in [-0.4, 0.4] of 25 to 300 N m, in the model's order
//   reward       forward_reward_weight * (x' - x) / dt + healthy - ctrl_cost_weight * |action|^2
//                - clip(contact_cost_weight * |cfrc_ext|^2, contact_cost_range) (v5 only),
//                dt = 0.003 s * frame_skip, x of the centre of mass (which lags, see mujoco_env.h)
//                healthy: v5: healthy_reward where the robot is healthy, else 0;
//                         v4: healthy_reward at every step, unless unhealthy and not ended by it
//   ends         terminates when unhealthy, if terminate_when_unhealthy; truncated after 1000 steps
//                Healthy: z of the torso in healthy_z_range (open interval)
//   reset        qpos and qvel + U(-s, s) with s = reset_noise_scale
//   info         v5: x_position, y_position, tendon_length [2], tendon_velocity [2], distance_from_origin
//                    (of qpos), x_velocity, y_velocity, reward_survive, reward_forward, reward_ctrl,
//                    reward_contact
//                v4: reward_linvel, reward_quadctrl, reward_alive, x_position, y_position,
//                    distance_from_origin (of the centre of mass), x_velocity, y_velocity, forward_reward
//   versions     v4 and v5 differ as said above
#pragma once

#include <array>

#include "envs/locomotion/mujoco_env.h"

namespace diffreward {

/// Options of v5.
struct HumanoidConfig {
  int frame_skip = 5;  // MuJoCo steps of 0.003 s
  double forward_reward_weight = 1.25;
  double ctrl_cost_weight = 0.1;
  double contact_cost_weight = 5e-7;
  std::vector<double> contact_cost_range = {-kNoLimit, 10};
  double healthy_reward = 5;
  bool terminate_when_unhealthy = true;
  std::vector<double> healthy_z_range = {1, 2};  // m
  double reset_noise_scale = 1e-2;
  bool exclude_current_positions_from_observation = true;
  bool include_cinert_in_observation = true;
  bool include_cvel_in_observation = true;
  bool include_qfrc_actuator_in_observation = true;
  bool include_cfrc_ext_in_observation = true;
  PhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("frame_skip", self.frame_skip, "MuJoCo steps per step", Bounds{1, 1000});
    field("forward_reward_weight", self.forward_reward_weight, "weight of the forward velocity");
    field("ctrl_cost_weight", self.ctrl_cost_weight, "weight of the squared action");
    field("contact_cost_weight", self.contact_cost_weight, "weight of the squared contact forces");
    field("contact_cost_range", self.contact_cost_range, "the contact cost is clipped to it");
    field("healthy_reward", self.healthy_reward, "reward of a healthy step");
    field("terminate_when_unhealthy", self.terminate_when_unhealthy, "end the episode with a fall");
    field("healthy_z_range", self.healthy_z_range, "limits of the height, m");
    field("reset_noise_scale", self.reset_noise_scale, "scale of the noise at a reset", Bounds{0, 10});
    field("exclude_current_positions_from_observation", self.exclude_current_positions_from_observation,
          "leave x and y out of the observation");
    field("include_cinert_in_observation", self.include_cinert_in_observation, "observe the inertias");
    field("include_cvel_in_observation", self.include_cvel_in_observation, "observe the bodies' velocities");
    field("include_qfrc_actuator_in_observation", self.include_qfrc_actuator_in_observation,
          "observe the motors' torques");
    field("include_cfrc_ext_in_observation", self.include_cfrc_ext_in_observation,
          "observe the contact forces");
    field("physics", self.physics, "physical parameters");
  }
};

/// Options of v4.
struct HumanoidV4Config {
  double forward_reward_weight = 1.25;
  double ctrl_cost_weight = 0.1;
  double healthy_reward = 5;
  bool terminate_when_unhealthy = true;
  std::vector<double> healthy_z_range = {1, 2};  // m
  double reset_noise_scale = 1e-2;
  bool exclude_current_positions_from_observation = true;
  PhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("forward_reward_weight", self.forward_reward_weight, "weight of the forward velocity");
    field("ctrl_cost_weight", self.ctrl_cost_weight, "weight of the squared action");
    field("healthy_reward", self.healthy_reward, "reward of a healthy step");
    field("terminate_when_unhealthy", self.terminate_when_unhealthy, "end the episode with a fall");
    field("healthy_z_range", self.healthy_z_range, "limits of the height, m");
    field("reset_noise_scale", self.reset_noise_scale, "scale of the noise at a reset", Bounds{0, 10});
    field("exclude_current_positions_from_observation", self.exclude_current_positions_from_observation,
          "leave x and y out of the observation");
    field("physics", self.physics, "physical parameters");
  }
};

class Humanoid final : public MujocoEnv {
 public:
  /// Throws InvalidArgument for options out of range, and for another version than the options'.
  Humanoid(std::string id, int version, const HumanoidConfig& config);
  Humanoid(std::string id, int version, const HumanoidV4Config& config);

 protected:
  StepResult advance(std::span<const double> action, std::span<double> info) override;
  void reset_info(std::span<double> info) const override;
  void observe(std::span<double> obs) const override;

 private:
  Humanoid(std::string id, const HumanoidConfig& config, bool v4);
  std::array<double, 2> mass_center() const;  // x and y, m
  /// The parts of the observation after qpos and qvel.
  std::array<std::span<const double>, 4> derived() const;

  HumanoidConfig config_;  // v4's options in terms of v5's
  Interval z_, cost_;
  bool v4_;
  double mass_;  // kg
};

}  // namespace diffreward
