#include "envs/locomotion/half_cheetah.h"

#include <array>

#include "envs/locomotion/assets.h"

namespace diffreward {

HalfCheetah::HalfCheetah(std::string id, int version, const HalfCheetahConfig& config)
    : MujocoEnv({.id = std::move(id),
                 .mjcf = locomotion_mjcf("half_cheetah"),
                 .total_mass = 14,
                 .physics = config.physics,
                 .frame_skip = config.frame_skip,
                 .reset_noise_scale = config.reset_noise_scale,
                 .velocity_noise = VelocityNoise::kNormal}),
      config_(config) {
  validate(config_);
  describe(17 + !config_.exclude_current_positions_from_observation,
           {{"x_position", 1},
            {"x_velocity", 1},
            {version == 4 ? "reward_run" : "reward_forward", 1},
            {"reward_ctrl", 1}});
}

StepResult HalfCheetah::advance(std::span<const double> action, std::span<double> info) {
  const double before = qpos()[0];
  simulate(action);
  return pay(before, qpos()[0], action, info);
}

std::optional<StepResult> HalfCheetah::recorded_step(std::span<const double> before,
                                                     std::span<const double> action,
                                                     std::span<const double> after) const {
  std::array<double, 4> info{};
  return pay(before[0], after[0], action, info);
}

StepResult HalfCheetah::pay(double x_before, double x, std::span<const double> action,
                            std::span<double> info) const {
  const double x_velocity = (x - x_before) / dt();
  const double forward = config_.forward_reward_weight * x_velocity;
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  append(info, {x, x_velocity, forward, -control});
  return {forward - control, false};
}

void HalfCheetah::reset_info(std::span<double> info) const {
  info[0] = qpos()[0];
}

void HalfCheetah::observe(std::span<double> obs) const {
  append(append(obs, qpos().subspan(config_.exclude_current_positions_from_observation)), qvel());
}

}  // namespace diffreward
