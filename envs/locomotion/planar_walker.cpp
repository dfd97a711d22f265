#include "envs/locomotion/planar_walker.h"

#include <algorithm>
#include <array>

namespace diffreward {

PlanarWalker::PlanarWalker(Setup setup, const Rules& rules, int version)
    : MujocoEnv(std::move(setup)), rules_(rules), version_(version) {}

void PlanarWalker::describe_walker() {
  std::vector<InfoField> info;
  append(info, {"x_position", "x_velocity"});
  if (version_ == 5)
    append(info, {"z_distance_from_origin", "reward_forward", "reward_ctrl", "reward_survive"});
  const std::size_t hidden = rules_.exclude_current_positions_from_observation ? 1 : 0;
  describe(qpos().size() + qvel().size() - hidden, std::move(info));
}

StepResult PlanarWalker::advance(std::span<const double> action, std::span<double> info) {
  const double before = qpos()[0];
  simulate(action);
  return pay(before, qpos(), qvel(), action, info);
}

std::optional<StepResult> PlanarWalker::recorded_step(std::span<const double> before,
                                                      std::span<const double> action,
                                                      std::span<const double> after) const {
  std::array<double, 6> info{};
  return pay(before[0], after.first(qpos().size()), after.subspan(qpos().size()), action, info);
}

StepResult PlanarWalker::pay(double x_before, std::span<const double> qpos, std::span<const double> qvel,
                             std::span<const double> action, std::span<double> info) const {
  const double x_velocity = (qpos[0] - x_before) / dt();
  const double forward = rules_.forward_reward_weight * x_velocity;
  const double control = rules_.ctrl_cost_weight * sum_of_squares(action);
  const bool is_healthy = healthy(qpos, qvel);
  const double survive =
      survive_reward(is_healthy, version_, rules_.terminate_when_unhealthy, rules_.healthy_reward);
  info = append(info, {qpos[0], x_velocity});
  if (version_ == 5) append(info, {qpos[1] - initial_qpos()[1], forward, -control, survive});
  return {forward + survive - control, !is_healthy && rules_.terminate_when_unhealthy};
}

void PlanarWalker::reset_info(std::span<double> info) const {
  info[0] = qpos()[0];
  if (version_ == 5) info[2] = qpos()[1] - initial_qpos()[1];
}

void PlanarWalker::observe(std::span<double> obs) const {
  obs = append(obs, qpos().subspan(rules_.exclude_current_positions_from_observation));
  std::ranges::transform(qvel(), obs.begin(), [](double v) { return std::clamp(v, -10.0, 10.0); });
}

}  // namespace diffreward
