// Hopper: a planar one-legged hopper with three motors (Erez et al. 2011), Gymnasium's v4 and v5.
//
//   observation  [11]  qpos without x [5]: z m, pitch, thigh, leg, foot rad;
//                      qvel [6]: x and z m/s, then the same angles rad/s, each clipped to [-10, 10]
//   action       [3]   torque in [-1, 1] of 200 N m; thigh, leg, foot
//   reward       forward_reward_weight * (x' - x) / dt + healthy - ctrl_cost_weight * |action|^2,
//                dt = 0.002 s * frame_skip
//                healthy: v5: healthy_reward where the robot is healthy, else 0;
//                         v4: healthy_reward at every step, unless unhealthy and not ended by it
//   ends         terminates when unhealthy, if terminate_when_unhealthy; truncated after 1000 steps
//                Healthy: z in healthy_z_range, pitch in healthy_angle_range, and all of the state but x
//                and z in healthy_state_range (open intervals)
//   reset        qpos and qvel + U(-s, s) with s = reset_noise_scale
//   info         x_position, x_velocity; v5 also z_distance_from_origin, reward_forward, _ctrl, _survive
//   versions     v4 and v5 differ in healthy and info
#pragma once

#include "envs/locomotion/planar_walker.h"

namespace diffreward {

struct HopperConfig {
  int frame_skip = 4;  // MuJoCo steps of 0.002 s
  double forward_reward_weight = 1;
  double ctrl_cost_weight = 1e-3;
  double healthy_reward = 1;
  bool terminate_when_unhealthy = true;
  std::vector<double> healthy_state_range = {-100, 100};
  std::vector<double> healthy_z_range = {0.7, kNoLimit};  // m
  std::vector<double> healthy_angle_range = {-0.2, 0.2};  // rad
  double reset_noise_scale = 5e-3;
  bool exclude_current_positions_from_observation = true;
  PhysicsConfig physics = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("frame_skip", self.frame_skip, "MuJoCo steps per step", Bounds{1, 1000});
    field("forward_reward_weight", self.forward_reward_weight, "weight of the forward velocity");
    field("ctrl_cost_weight", self.ctrl_cost_weight, "weight of the squared action");
    field("healthy_reward", self.healthy_reward, "reward of a healthy step");
    field("terminate_when_unhealthy", self.terminate_when_unhealthy, "end the episode with a fall");
    field("healthy_state_range", self.healthy_state_range, "limits of all but x and z");
    field("healthy_z_range", self.healthy_z_range, "limits of the height, m");
    field("healthy_angle_range", self.healthy_angle_range, "limits of the pitch, rad");
    field("reset_noise_scale", self.reset_noise_scale, "scale of the noise at a reset", Bounds{0, 10});
    field("exclude_current_positions_from_observation", self.exclude_current_positions_from_observation,
          "leave x out of the observation");
    field("physics", self.physics, "physical parameters");
  }
};

class Hopper final : public PlanarWalker {
 public:
  /// version: 4 or 5. Throws InvalidArgument for options out of range.
  Hopper(std::string id, int version, const HopperConfig& config);

 protected:
  bool healthy(std::span<const double> qpos, std::span<const double> qvel) const override;

 private:
  Interval state_, z_, angle_;
};

}  // namespace diffreward
