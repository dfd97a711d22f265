#include "agents/imitation/demonstrations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "agents/action_scale.h"
#include "core/error.h"
#include "datasets/check.h"

namespace diffreward {
namespace {

/// Throws Error for the first number among these rows that is not finite.
void check_finite(const std::string& name, const char* column, std::span<const float> values,
                  std::size_t rows, std::size_t width) {
  for (std::size_t k = 0; k < rows * width; ++k)
    if (!std::isfinite(values[k]))
      throw Error(
          concat(name, ": ", column, ", row ", k / width, ": expected finite numbers, found ", values[k]));
}

/// Throws Error where a recording keeps from who learns from it that the task ended.
void check_ends(const std::string& name, const Dataset& data) {
  for (const Fault& fault : check_data(data.path()))
    if (fault.name == "terminal-mismatch" || fault.name == "fall-at-limit")
      throw Error(concat(name, ": ", fault.message, " (", fault.count, " rows); see diffreward data check"));
}

}  // namespace

Demonstrations open_demonstrations(const char* option, const std::string& name, std::int64_t episodes,
                                   const EnvSpec& env) {
  require(!name.empty(), option, ": imitation needs demonstrations");
  const Dataset data = Dataset::open(name);
  const std::size_t obs = env.observation.size(), act = env.action.size();
  if (data.observation_dim() != obs || data.action_dim() != act)
    throw Error(concat(name, ": expected rows of ", env.id, "'s ", obs, " observations and ", act,
                       " actions, found ", data.observation_dim(), " and ", data.action_dim()));
  const std::size_t there = data.episodes().size(), asked = static_cast<std::size_t>(episodes);
  if (there < std::max<std::size_t>(asked, 1))
    throw Error(concat(name, ": expected ", std::max<std::size_t>(asked, 1), " episodes, found ", there));
  const std::size_t rows = data.episodes()[asked > 0 ? asked - 1 : there - 1].end;
  check_finite(name, "observations", data.observations(), rows, obs);
  check_finite(name, "next_observations", data.next_observations(), rows, obs);
  check_finite(name, "actions", data.actions(), rows, act);
  return {data, rows};
}

ReplayBuffer remember_demonstrations(const std::string& name, std::int64_t episodes, const EnvSpec& env,
                                     bool absorbing) {
  const auto [data, rows] = open_demonstrations("data", name, episodes, env);
  const std::size_t obs = data.observation_dim(), act = data.action_dim();
  if (absorbing) check_ends(name, data);
  const ActionScale scale(env.action);
  ReplayBuffer memory(static_cast<std::int64_t>(rows), 1, obs, act, absorbing);
  std::vector<double> before(obs), after(obs);
  std::vector<float> action(act);
  const std::array unpaid{0.0};
  for (std::size_t row = 0; row < rows; ++row) {
    std::copy_n(data.observations().begin() + static_cast<std::ptrdiff_t>(row * obs), obs, before.begin());
    std::copy_n(data.next_observations().begin() + static_cast<std::ptrdiff_t>(row * obs), obs,
                after.begin());
    for (std::size_t j = 0; j < act; ++j)
      action[j] = static_cast<float>(scale.from_task(
          j, std::clamp(double{data.actions()[row * act + j]}, scale.box.low[j], scale.box.high[j])));
    memory.add(before, action,
               {.final_obs = after,
                .reward = unpaid,
                .terminated = data.terminals().subspan(row, 1),
                .truncated = data.timeouts().subspan(row, 1)});
  }
  return memory;
}

}  // namespace diffreward
