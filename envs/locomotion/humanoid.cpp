#include "envs/locomotion/humanoid.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "envs/locomotion/assets.h"

namespace diffreward {
namespace {

HumanoidConfig as_v5(const HumanoidV4Config& v4) {
  validate(v4);
  HumanoidConfig config;
  config.forward_reward_weight = v4.forward_reward_weight;
  config.ctrl_cost_weight = v4.ctrl_cost_weight;
  config.contact_cost_weight = 0;
  config.healthy_reward = v4.healthy_reward;
  config.terminate_when_unhealthy = v4.terminate_when_unhealthy;
  config.healthy_z_range = v4.healthy_z_range;
  config.reset_noise_scale = v4.reset_noise_scale;
  config.physics = v4.physics;
  config.exclude_current_positions_from_observation = v4.exclude_current_positions_from_observation;
  return config;
}

/// np.sum of fourteen masses: eight sums and a rest, see sum_of_squares.
double total_mass(const mjModel& model) {
  const double* m = model.body_mass;
  double sum = ((m[0] + m[1]) + (m[2] + m[3])) + ((m[4] + m[5]) + (m[6] + m[7]));
  for (int i = 8; i < model.nbody; ++i) sum += m[i];
  return sum;
}

}  // namespace

Humanoid::Humanoid(std::string id, int version, const HumanoidConfig& config)
    : Humanoid(std::move(id), config, false) {
  require(version == 5, "Humanoid: expected version 5 for options of v5, got ", version);
}

Humanoid::Humanoid(std::string id, int version, const HumanoidV4Config& config)
    : Humanoid(std::move(id), as_v5(config), true) {
  require(version == 4, "Humanoid: expected version 4 for options of v4, got ", version);
}

Humanoid::Humanoid(std::string id, const HumanoidConfig& config, bool v4)
    : MujocoEnv({.id = std::move(id),
                 .mjcf = locomotion_mjcf("humanoid"),
                 .physics = config.physics,
                 .frame_skip = config.frame_skip,
                 .reset_noise_scale = config.reset_noise_scale,
                 .camera = {.distance = 4, .look_up = 1.1},
                 .view = {.elevation = 15}}),
      config_(config),
      z_("healthy_z_range", config.healthy_z_range),
      cost_("contact_cost_range", config.contact_cost_range),
      v4_(v4),
      mass_(total_mass(model())) {
  validate(config_);
  std::vector<InfoField> info;
  if (v4_) {
    append(info, {"reward_linvel", "reward_quadctrl", "reward_alive", "x_position", "y_position",
                  "distance_from_origin", "x_velocity", "y_velocity", "forward_reward"});
  } else {
    append(info, {"x_position", "y_position"});
    info.push_back({"tendon_length", 2});
    info.push_back({"tendon_velocity", 2});
    append(info, {"distance_from_origin", "x_velocity", "y_velocity", "reward_survive", "reward_forward",
                  "reward_ctrl", "reward_contact"});
  }
  std::size_t size = qpos().size() + qvel().size();
  if (config_.exclude_current_positions_from_observation) size -= 2;
  for (const std::span<const double> part : derived()) size += part.size();
  const auto bodies = std::size_t(model().nbody);
  describe(size, std::move(info),
           {{data().xipos, 3 * bodies},
            {data().cinert, 10 * bodies},
            {data().cvel, 6 * bodies},
            {data().qfrc_actuator, qvel().size()},
            {data().cfrc_ext, 6 * bodies}});
}

StepResult Humanoid::advance(std::span<const double> action, std::span<double> info) {
  const auto [x_before, y_before] = mass_center();
  simulate(action);
  compute_contact_forces();
  const auto [x_after, y_after] = mass_center();
  const double x_velocity = (x_after - x_before) / dt(), y_velocity = (y_after - y_before) / dt();

  const double forward = config_.forward_reward_weight * x_velocity;
  const bool healthy = z_.inside(qpos()[2]);
  const double survive =
      survive_reward(healthy, v4_ ? 4 : 5, config_.terminate_when_unhealthy, config_.healthy_reward);
  const double control = config_.ctrl_cost_weight * sum_of_squares(action);
  const std::span<const double> forces(data().cfrc_ext, 6 * std::size_t(model().nbody));
  const double contact =
      std::clamp(config_.contact_cost_weight * sum_of_squares(forces), cost_.low, cost_.high);

  if (v4_) {
    append(info, {forward, -control, survive, x_after, y_after,
                  std::sqrt(x_after * x_after + y_after * y_after), x_velocity, y_velocity, forward});
  } else {
    const double x = qpos()[0], y = qpos()[1];
    const double *length = data().ten_length, *velocity = data().ten_velocity;
    append(info, {x, y, length[0], length[1], velocity[0], velocity[1], std::sqrt(x * x + y * y), x_velocity,
                  y_velocity, survive, forward, -control, -contact});
  }
  return {forward + survive - (control + contact), !healthy && config_.terminate_when_unhealthy};
}

void Humanoid::reset_info(std::span<double> info) const {
  const auto [x, y] = v4_ ? mass_center() : std::array{qpos()[0], qpos()[1]};
  const double distance = std::sqrt(x * x + y * y);
  const double *length = data().ten_length, *velocity = data().ten_velocity;
  if (v4_)
    append(info.subspan(3), {x, y, distance});
  else
    append(info, {x, y, length[0], length[1], velocity[0], velocity[1], distance});
}

void Humanoid::observe(std::span<double> obs) const {
  obs = append(obs, qpos().subspan(config_.exclude_current_positions_from_observation ? 2 : 0));
  obs = append(obs, qvel());
  for (const std::span<const double> part : derived()) obs = append(obs, part);
}

std::array<double, 2> Humanoid::mass_center() const {
  double x = 0, y = 0;
  for (int i = 0; i < model().nbody; ++i) {
    x += model().body_mass[i] * data().xipos[3 * i];
    y += model().body_mass[i] * data().xipos[3 * i + 1];
  }
  return {x / mass_, y / mass_};
}

std::array<std::span<const double>, 4> Humanoid::derived() const {
  const std::size_t skip = v4_ ? 0 : 1, bodies = std::size_t(model().nbody) - skip, root = 6 * skip;
  const auto part = [](bool included, const double* values, std::size_t size) {
    return std::span(values, included ? size : 0);
  };
  return {
      part(config_.include_cinert_in_observation, data().cinert + 10 * skip, 10 * bodies),
      part(config_.include_cvel_in_observation, data().cvel + 6 * skip, 6 * bodies),
      part(config_.include_qfrc_actuator_in_observation, data().qfrc_actuator + root, qvel().size() - root),
      part(config_.include_cfrc_ext_in_observation, data().cfrc_ext + 6 * skip, 6 * bodies)};
}

}  // namespace diffreward
