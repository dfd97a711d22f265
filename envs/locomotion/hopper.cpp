#include "envs/locomotion/hopper.h"

#include <algorithm>

#include "envs/locomotion/assets.h"

namespace diffreward {

Hopper::Hopper(std::string id, int version, const HopperConfig& config)
    : MujocoEnv({.id = std::move(id),
                 .mjcf = locomotion_mjcf("hopper"),
                 .frame_skip = config.frame_skip,
                 .reset_noise_scale = config.reset_noise_scale}),
      config_(config),
      state_("healthy_state_range", config.healthy_state_range),
      z_("healthy_z_range", config.healthy_z_range),
      angle_("healthy_angle_range", config.healthy_angle_range),
      version_(version) {
  validate(config_);
  std::vector<InfoField> info = {{"x_position", 1}, {"x_velocity", 1}};
  if (version_ == 5)
    for (const char* name : {"z_distance_from_origin", "reward_forward", "reward_ctrl", "reward_survive"})
      info.push_back({name, 1});
  describe(11 + !config_.exclude_current_positions_from_observation, std::move(info));
}

StepResult Hopper::advance(std::span<const double> action, std::span<double> info) {
  const double before = qpos()[0];
  simulate(action);
  const double x_velocity = (qpos()[0] - before) / dt();
  const double forward = config_.forward_reward_weight * x_velocity;
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  const bool is_healthy = healthy();
  const bool paid = is_healthy || (version_ == 4 && config_.terminate_when_unhealthy);
  const double survive = paid ? config_.healthy_reward : 0;
  info = append(info, {qpos()[0], x_velocity});
  if (version_ == 5) append(info, {qpos()[1] - initial_qpos()[1], forward, -control, survive});
  return {forward + survive - control, !is_healthy && config_.terminate_when_unhealthy};
}

void Hopper::reset_info(std::span<double> info) const {
  info[0] = qpos()[0];
  if (version_ == 5) info[2] = qpos()[1] - initial_qpos()[1];
}

void Hopper::observe(std::span<double> obs) const {
  obs = append(obs, qpos().subspan(config_.exclude_current_positions_from_observation));
  std::ranges::transform(qvel(), obs.begin(), [](double v) { return std::clamp(v, -10.0, 10.0); });
}

bool Hopper::healthy() const {
  const auto inside = [this](double x) { return state_.inside(x); };
  return z_.inside(qpos()[1]) && angle_.inside(qpos()[2]) && std::ranges::all_of(qpos().subspan(2), inside) &&
         std::ranges::all_of(qvel(), inside);
}

}  // namespace diffreward
