// What Hopper and Walker2d share: a planar robot that runs forward and may fall. Their rules differ in the
// robot, in its options' defaults and in what is healthy.
#pragma once

#include "envs/locomotion/mujoco_env.h"

namespace diffreward {

class PlanarWalker : public MujocoEnv {
 public:
  std::optional<StepResult> recorded_step(std::span<const double> before, std::span<const double> action,
                                          std::span<const double> after) const final;

 protected:
  /// The options that both robots have, under the names of their configs.
  struct Rules {
    double forward_reward_weight, ctrl_cost_weight, healthy_reward;
    bool terminate_when_unhealthy, exclude_current_positions_from_observation;
  };
  template <class Config>
  static Rules rules_of(const Config& config) {
    return {config.forward_reward_weight, config.ctrl_cost_weight, config.healthy_reward,
            config.terminate_when_unhealthy, config.exclude_current_positions_from_observation};
  }

  /// version: 4 or 5
  PlanarWalker(Setup setup, const Rules& rules, int version);

  StepResult advance(std::span<const double> action, std::span<double> info) final;
  void reset_info(std::span<double> info) const final;
  void observe(std::span<double> obs) const final;
  virtual bool healthy(std::span<const double> qpos, std::span<const double> qvel) const = 0;

  /// describe() with the observation and info of such a robot; as describe(), for the final constructor.
  void describe_walker();

 private:
  /// The reward of a step along x, and its terms.
  StepResult pay(double x_before, std::span<const double> qpos, std::span<const double> qvel,
                 std::span<const double> action, std::span<double> info) const;

  Rules rules_;
  int version_;
};

}  // namespace diffreward
