#include "envs/locomotion/walker2d.h"

#include <algorithm>

#include "envs/locomotion/assets.h"

namespace diffreward {
namespace {

std::string model_of(int version) {
  std::string mjcf = locomotion_mjcf("walker2d");
  if (version == 5) return mjcf;
  const std::string v5 = "name=\"foot_geom\" friction=\"1.9", v4 = "name=\"foot_geom\" friction=\"0.9";
  return mjcf.replace(mjcf.find(v5), v5.size(), v4);
}

}  // namespace

Walker2d::Walker2d(std::string id, int version, const Walker2dConfig& config)
    : MujocoEnv({.id = std::move(id),
                 .mjcf = model_of(version),
                 .frame_skip = config.frame_skip,
                 .reset_noise_scale = config.reset_noise_scale}),
      config_(config),
      z_("healthy_z_range", config.healthy_z_range),
      angle_("healthy_angle_range", config.healthy_angle_range),
      version_(version) {
  validate(config_);
  std::vector<InfoField> info = {{"x_position", 1}, {"x_velocity", 1}};
  if (version_ == 5)
    for (const char* name : {"z_distance_from_origin", "reward_forward", "reward_ctrl", "reward_survive"})
      info.push_back({name, 1});
  describe(17 + !config_.exclude_current_positions_from_observation, std::move(info));
}

StepResult Walker2d::advance(std::span<const double> action, std::span<double> info) {
  const double before = qpos()[0];
  simulate(action);
  const double x_velocity = (qpos()[0] - before) / dt();
  const double forward = config_.forward_reward_weight * x_velocity;
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  const bool healthy = z_.inside(qpos()[1]) && angle_.inside(qpos()[2]);
  const bool paid = healthy || (version_ == 4 && config_.terminate_when_unhealthy);
  const double survive = paid ? config_.healthy_reward : 0;
  info = append(info, {qpos()[0], x_velocity});
  if (version_ == 5) append(info, {qpos()[1] - initial_qpos()[1], forward, -control, survive});
  return {forward + survive - control, !healthy && config_.terminate_when_unhealthy};
}

void Walker2d::reset_info(std::span<double> info) const {
  info[0] = qpos()[0];
  if (version_ == 5) info[2] = qpos()[1] - initial_qpos()[1];
}

void Walker2d::observe(std::span<double> obs) const {
  obs = append(obs, qpos().subspan(config_.exclude_current_positions_from_observation));
  std::ranges::transform(qvel(), obs.begin(), [](double v) { return std::clamp(v, -10.0, 10.0); });
}

}  // namespace diffreward
