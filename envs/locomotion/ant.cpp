#include "envs/locomotion/ant.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "envs/locomotion/assets.h"

namespace diffreward {
namespace {

AntConfig as_v5(const AntV4Config& v4) {
  validate(v4);
  AntConfig config;
  config.ctrl_cost_weight = v4.ctrl_cost_weight;
  config.contact_cost_weight = v4.use_contact_forces ? v4.contact_cost_weight : 0;
  config.healthy_reward = v4.healthy_reward;
  config.terminate_when_unhealthy = v4.terminate_when_unhealthy;
  config.healthy_z_range = v4.healthy_z_range;
  config.contact_force_range = v4.contact_force_range;
  config.reset_noise_scale = v4.reset_noise_scale;
  config.physics = v4.physics;
  config.exclude_current_positions_from_observation = v4.exclude_current_positions_from_observation;
  config.include_cfrc_ext_in_observation = v4.use_contact_forces;
  return config;
}

}  // namespace

Ant::Ant(std::string id, int version, const AntConfig& config) : Ant(std::move(id), config, false) {
  require(version == 5, "Ant: expected version 5 for options of v5, got ", version);
}

Ant::Ant(std::string id, int version, const AntV4Config& config) : Ant(std::move(id), as_v5(config), true) {
  require(version == 4, "Ant: expected version 4 for options of v4, got ", version);
}

Ant::Ant(std::string id, const AntConfig& config, bool v4)
    : MujocoEnv({.id = std::move(id),
                 .mjcf = locomotion_mjcf("ant"),
                 .physics = config.physics,
                 .frame_skip = config.frame_skip,
                 .reset_noise_scale = config.reset_noise_scale,
                 .velocity_noise = VelocityNoise::kNormal,
                 .camera = {.distance = 4},
                 .view = {.elevation = 35}}),
      config_(config),
      z_("healthy_z_range", config.healthy_z_range),
      force_("contact_force_range", config.contact_force_range),
      v4_(v4),
      contact_forces_(std::size_t(model().nbody) * 6) {
  validate(config_);
  std::vector<InfoField> info;
  if (v4_) append(info, {"reward_forward", "reward_ctrl", "reward_survive"});
  append(info, {"x_position", "y_position", "distance_from_origin", "x_velocity", "y_velocity"});
  if (v4_)
    append(info, {"forward_reward"});
  else
    append(info, {"reward_forward", "reward_ctrl", "reward_contact", "reward_survive"});
  const std::size_t forces = contact_forces_.size() - (v4_ ? 0 : 6);
  describe(27 + (config_.exclude_current_positions_from_observation ? 0 : 2) +
               (config_.include_cfrc_ext_in_observation ? forces : 0),
           std::move(info),
           {{data().xpos + 3 * config_.main_body, 3}, {data().cfrc_ext, contact_forces_.size()}});
}

StepResult Ant::advance(std::span<const double> action, std::span<double> info) {
  const double* const body = data().xpos + 3 * config_.main_body;
  const double x_before = body[0], y_before = body[1];
  simulate(action);
  const bool contacts = config_.include_cfrc_ext_in_observation || config_.contact_cost_weight != 0;
  if (contacts) compute_contact_forces();
  const double x_velocity = (body[0] - x_before) / dt(), y_velocity = (body[1] - y_before) / dt();

  const double forward = x_velocity * config_.forward_reward_weight;
  const bool healthy = z_.low <= qpos()[2] && qpos()[2] <= z_.high;
  const double survive =
      survive_reward(healthy, v4_ ? 4 : 5, config_.terminate_when_unhealthy, config_.healthy_reward);
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  double contact = 0;
  if (contacts) {
    std::transform(data().cfrc_ext, data().cfrc_ext + contact_forces_.size(), contact_forces_.begin(),
                   [this](double f) { return std::clamp(f, force_.low, force_.high); });
    contact = config_.contact_cost_weight * sum_of_squares(contact_forces_);
  }

  const double x = v4_ ? body[0] : qpos()[0], y = v4_ ? body[1] : qpos()[1];
  if (v4_)
    info = append(info, {forward, config_.include_cfrc_ext_in_observation ? -contact : -control, survive});
  info = append(info, {x, y, std::sqrt(x * x + y * y), x_velocity, y_velocity});
  if (v4_)
    append(info, {forward});
  else
    append(info, {forward, -control, -contact, survive});
  return {forward + survive - (control + contact), !healthy && config_.terminate_when_unhealthy};
}

void Ant::reset_info(std::span<double> info) const {
  const double x = qpos()[0], y = qpos()[1];
  append(info.subspan(v4_ ? 3 : 0), {x, y, std::sqrt(x * x + y * y)});
}

void Ant::observe(std::span<double> obs) const {
  obs = append(obs, qpos().subspan(config_.exclude_current_positions_from_observation ? 2 : 0));
  obs = append(obs, qvel());
  // What is left of obs is for the contact forces, from the world's or from the torso's on.
  std::transform(data().cfrc_ext + (v4_ ? 0 : 6), data().cfrc_ext + (v4_ ? 0 : 6) + obs.size(), obs.begin(),
                 [this](double f) { return std::clamp(f, force_.low, force_.high); });
}

}  // namespace diffreward
