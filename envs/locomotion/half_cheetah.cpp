#include "envs/locomotion/half_cheetah.h"

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
  const double x_velocity = (qpos()[0] - before) / dt();
  const double forward = config_.forward_reward_weight * x_velocity;
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  append(info, {qpos()[0], x_velocity, forward, -control});
  return {forward - control, false};
}

void HalfCheetah::reset_info(std::span<double> info) const {
  info[0] = qpos()[0];
}

void HalfCheetah::observe(std::span<double> obs) const {
  append(append(obs, qpos().subspan(config_.exclude_current_positions_from_observation)), qvel());
}

}  // namespace diffreward
