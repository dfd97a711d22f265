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

Dataset open_demonstrations(const char* option, const std::string& data, const EnvSpec& env) {
  require(!data.empty(), option, ": imitation needs demonstrations");
  Dataset opened = Dataset::open(data);
  if (opened.observation_dim() != env.observation.size() || opened.action_dim() != env.action.size())
    throw Error(concat(data, ": expected rows of ", env.id, "'s ", env.observation.size(),
                       " observations and ", env.action.size(), " actions, found ", opened.observation_dim(),
                       " and ", opened.action_dim()));
  return opened;
}

std::size_t demonstrated_rows(const std::string& name, const Dataset& data, std::int64_t episodes) {
  const std::size_t there = data.episodes().size(), asked = static_cast<std::size_t>(episodes);
  if (there < std::max<std::size_t>(asked, 1))
    throw Error(concat(name, ": expected ", std::max<std::size_t>(asked, 1), " episodes, found ", there));
  return data.episodes()[asked > 0 ? asked - 1 : there - 1].end;
}

ReplayBuffer remember_demonstrations(const std::string& name, std::int64_t episodes, const EnvSpec& env,
                                     bool absorbing) {
  const Dataset data = open_demonstrations("data", name, env);
  const std::size_t rows = demonstrated_rows(name, data, episodes), obs = env.observation.size(),
                    act = env.action.size();
  check_finite(name, "observations", data.observations(), rows, obs);
  check_finite(name, "next_observations", data.next_observations(), rows, obs);
  check_finite(name, "actions", data.actions(), rows, act);
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
