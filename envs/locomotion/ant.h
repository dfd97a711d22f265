// Ant: a torso on four two-jointed legs with eight motors (Schulman et al. 2015), Gymnasium's v4 and v5.
//
//   observation  [105] in v5, [27] in v4 (without contact forces):
//                qpos without x and y [13]: z m, orientation (quaternion w x y z), eight leg joints rad;
//                qvel [14]: linear m/s, angular rad/s, eight leg joints rad/s;
//                v5, if include_cfrc_ext_in_observation: contact forces of all bodies but the world [78],
//                each a torque [3] N m and a force [3] N, clipped to contact_force_range;
//                v4, if use_contact_forces: the same with the world first [84]
//   action       [8]   torque in [-1, 1] of 150 N m; hip and ankle of the right back leg, of the front left,
//                      the front right and the left back leg
//   reward       forward_reward_weight * (x' - x) / dt + healthy - ctrl_cost_weight * |action|^2
//                - contact_cost_weight * |clipped contact forces|^2 (in v4 if use_contact_forces),
//                dt = 0.01 s * frame_skip, x of the main body (which lags, see mujoco_env.h)
//                healthy: v5: healthy_reward where the robot is healthy, else 0;
//                         v4: healthy_reward at every step, unless unhealthy and not ended by it
//   ends         terminates when unhealthy, if terminate_when_unhealthy; truncated after 1000 steps
//                Healthy: z in healthy_z_range (closed interval)
//   reset        qpos + U(-s, s), qvel + s N(0, 1) with s = reset_noise_scale
//   info         v5: x_position, y_position, distance_from_origin (of qpos), x_velocity, y_velocity,
//                    reward_forward, reward_ctrl, reward_contact, reward_survive
//                v4: reward_forward, reward_ctrl, reward_survive, x_position, y_position,
//                    distance_from_origin (of the torso, which lags), x_velocity, y_velocity,
//                    forward_reward; with use_contact_forces reward_ctrl tells the contact cost, which is
//                    a slip of Gymnasium's
//   versions     v4 and v5 differ as said above
#pragma once

#include "envs/locomotion/mujoco_env.h"

namespace diffreward {

/// Options of v5.
struct AntConfig {
  int frame_skip = 5;  // MuJoCo steps of 0.01 s
  double forward_reward_weight = 1;
  double ctrl_cost_weight = 0.5;
  double contact_cost_weight = 5e-4;
  double healthy_reward = 1;
  int main_body = 1;  // MuJoCo's number of the body whose velocity is paid; 1 is the torso
  bool terminate_when_unhealthy = true;
  std::vector<double> healthy_z_range = {0.2, 1};     // m
  std::vector<double> contact_force_range = {-1, 1};  // N and N m
  double reset_noise_scale = 0.1;
  bool exclude_current_positions_from_observation = true;
  bool include_cfrc_ext_in_observation = true;
  PhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("frame_skip", self.frame_skip, "MuJoCo steps per step", Bounds{1, 1000});
    field("forward_reward_weight", self.forward_reward_weight, "weight of the forward velocity");
    field("ctrl_cost_weight", self.ctrl_cost_weight, "weight of the squared action");
    field("contact_cost_weight", self.contact_cost_weight, "weight of the squared contact forces");
    field("healthy_reward", self.healthy_reward, "reward of a healthy step");
    field("main_body", self.main_body, "number of the body whose velocity is paid", Bounds{1, 13});
    field("terminate_when_unhealthy", self.terminate_when_unhealthy, "end the episode with a fall");
    field("healthy_z_range", self.healthy_z_range, "limits of the height, m");
    field("contact_force_range", self.contact_force_range, "contact forces are clipped to it");
    field("reset_noise_scale", self.reset_noise_scale, "scale of the noise at a reset", Bounds{0, 10});
    field("exclude_current_positions_from_observation", self.exclude_current_positions_from_observation,
          "leave x and y out of the observation");
    field("include_cfrc_ext_in_observation", self.include_cfrc_ext_in_observation,
          "observe the contact forces");
    field("physics", self.physics, "physical parameters");
  }
};

/// Options of v4.
struct AntV4Config {
  double ctrl_cost_weight = 0.5;
  bool use_contact_forces = false;
  double contact_cost_weight = 5e-4;
  double healthy_reward = 1;
  bool terminate_when_unhealthy = true;
  std::vector<double> healthy_z_range = {0.2, 1};     // m
  std::vector<double> contact_force_range = {-1, 1};  // N and N m
  double reset_noise_scale = 0.1;
  bool exclude_current_positions_from_observation = true;
  PhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("ctrl_cost_weight", self.ctrl_cost_weight, "weight of the squared action");
    field("use_contact_forces", self.use_contact_forces, "observe the contact forces and pay for them");
    field("contact_cost_weight", self.contact_cost_weight, "weight of the squared contact forces");
    field("healthy_reward", self.healthy_reward, "reward of a healthy step");
    field("terminate_when_unhealthy", self.terminate_when_unhealthy, "end the episode with a fall");
    field("healthy_z_range", self.healthy_z_range, "limits of the height, m");
    field("contact_force_range", self.contact_force_range, "contact forces are clipped to it");
    field("reset_noise_scale", self.reset_noise_scale, "scale of the noise at a reset", Bounds{0, 10});
    field("exclude_current_positions_from_observation", self.exclude_current_positions_from_observation,
          "leave x and y out of the observation");
    field("physics", self.physics, "physical parameters");
  }
};

class Ant final : public MujocoEnv {
 public:
  /// Throws InvalidArgument for options out of range, and for another version than the options'.
  Ant(std::string id, int version, const AntConfig& config);
  Ant(std::string id, int version, const AntV4Config& config);

 protected:
  StepResult advance(std::span<const double> action, std::span<double> info) override;
  void reset_info(std::span<double> info) const override;
  void observe(std::span<double> obs) const override;

 private:
  Ant(std::string id, const AntConfig& config, bool v4);

  AntConfig config_;  // v4's options in terms of v5's
  Interval z_, force_;
  bool v4_;
  std::vector<double> contact_forces_;  // [nbody * 6] clipped; a buffer of advance()
};

}  // namespace diffreward
