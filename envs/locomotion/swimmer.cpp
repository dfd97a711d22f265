#include "envs/locomotion/swimmer.h"

#include <array>
#include <cmath>

#include "envs/locomotion/assets.h"

namespace diffreward {

Swimmer::Swimmer(std::string id, int version, const SwimmerConfig& config)
    : MujocoEnv({.id = std::move(id),
                 .mjcf = locomotion_mjcf("swimmer"),
                 .physics = config.physics,
                 .frame_skip = config.frame_skip,
                 .reset_noise_scale = config.reset_noise_scale,
                 .camera = {.distance = 5, .elevation = -50},
                 .view = {.elevation = 90, .height = 4.5}}),
      config_(config),
      version_(version) {
  validate(config_);
  std::vector<InfoField> info = {
      {"x_position", 1}, {"y_position", 1}, {"distance_from_origin", 1},
      {"x_velocity", 1}, {"y_velocity", 1}, {version_ == 4 ? "reward_fwd" : "reward_forward", 1},
      {"reward_ctrl", 1}};
  if (version_ == 4) info.push_back({"forward_reward", 1});
  describe(config_.exclude_current_positions_from_observation ? 8 : 10, std::move(info));
}

StepResult Swimmer::advance(std::span<const double> action, std::span<double> info) {
  const std::array before{qpos()[0], qpos()[1]};
  simulate(action);
  return pay(before, qpos(), action, info);
}

std::optional<StepResult> Swimmer::recorded_step(std::span<const double> before,
                                                 std::span<const double> action,
                                                 std::span<const double> after) const {
  std::array<double, 8> info{};
  return pay(before, after, action, info);
}

StepResult Swimmer::pay(std::span<const double> before, std::span<const double> after,
                        std::span<const double> action, std::span<double> info) const {
  const double x = after[0], y = after[1];
  const double x_velocity = (x - before[0]) / dt(), y_velocity = (y - before[1]) / dt();
  const double forward = config_.forward_reward_weight * x_velocity;
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  info = append(info, {x, y, std::sqrt(x * x + y * y), x_velocity, y_velocity, forward, -control});
  if (version_ == 4) append(info, {forward});
  return {forward - control, false};
}

void Swimmer::reset_info(std::span<double> info) const {
  const double x = qpos()[0], y = qpos()[1];
  append(info, {x, y, std::sqrt(x * x + y * y)});
}

void Swimmer::observe(std::span<double> obs) const {
  append(append(obs, qpos().subspan(config_.exclude_current_positions_from_observation ? 2 : 0)), qvel());
}

}  // namespace diffreward
