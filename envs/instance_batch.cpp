#include "envs/instance_batch.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "envs/catalog.h"

namespace diffreward {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Autoreset autoreset_of(const std::string& name) {
  return name == "same_step"  ? Autoreset::kSameStep
         : name == "disabled" ? Autoreset::kDisabled
                              : Autoreset::kNextStep;
}

/// Makes `box` hold `other`, too.
void widen(Box& box, const Box& other) {
  for (std::size_t i = 0; i < box.size(); ++i) {
    box.low[i] = std::min(box.low[i], other.low[i]);
    box.high[i] = std::max(box.high[i], other.high[i]);
  }
}

/// What holds for all instances: boxes that hold all of theirs, and not-a-number where numbers differ.
EnvSpec common_spec(const std::vector<std::unique_ptr<Env>>& envs, int max_steps) {
  require(!envs.empty(), "make_vector: expected at least one environment, got none");
  for (const std::unique_ptr<Env>& env : envs)
    require(env != nullptr, "make_vector: expected environments, got a null pointer");
  EnvSpec common = envs[0]->spec();
  if (max_steps >= 0) common.max_steps = max_steps;
  for (std::size_t i = 1; i < envs.size(); ++i) {
    const EnvSpec& spec = envs[i]->spec();
    const auto check = [&](const char* what, const auto& expected, const auto& found) {
      require(expected == found, "make_vector: instance ", i, ": expected ", what, " ", expected,
              ", as instance 0 has, got ", found);
    };
    check("id", common.id, spec.id);
    check("observation size", common.observation.size(), spec.observation.size());
    check("action size", common.action.size(), spec.action.size());
    check("state size", common.state_size, spec.state_size);
    if (max_steps < 0) check("max_steps", common.max_steps, spec.max_steps);
    require(
        common.info == spec.info && common.parts == spec.parts && common.reset_options == spec.reset_options,
        "make_vector: instance ", i,
        ": expected the info, parts and reset options of instance 0, got others");
    widen(common.observation, spec.observation);
    widen(common.action, spec.action);
    for (double EnvSpec::*number :
         {&EnvSpec::seconds_per_step, &EnvSpec::random_return, &EnvSpec::expert_return})
      if (common.*number != spec.*number) common.*number = kNan;
  }
  return common;
}

}  // namespace

InstanceBatch::InstanceBatch(std::vector<std::unique_ptr<Env>> instances, const VectorConfig& config)
    : envs(std::move(instances)),
      spec(common_spec(envs, config.max_steps)),
      mode(autoreset_of(config.autoreset)),
      obs_dim(spec.observation.size()),
      action_dim(spec.action.size()),
      info_dim(spec.info_size()),
      obs(size() * obs_dim, kNan),
      final_obs(size() * obs_dim, kNan),
      info(size() * info_dim, kNan),
      final_info(size() * info_dim, kNan),
      reward(size(), 0),
      terminated(size(), 0),
      truncated(size(), 0),
      reset(size(), 0),
      steps(size(), 0),
      failed(size(), 1),  // nothing can be stepped before a reset
      errors(size()) {}

void InstanceBatch::fail(std::size_t i, std::exception_ptr error) {
  std::ranges::fill(obs_of(i), kNan);
  std::ranges::fill(final_obs_of(i), kNan);
  std::ranges::fill(info_of(i), kNan);
  std::ranges::fill(final_info_of(i), kNan);
  reward[i] = kNan;
  terminated[i] = truncated[i] = reset[i] = 0;
  failed[i] = 1;
  errors[i] = std::move(error);
}

void InstanceBatch::rethrow(std::size_t i) {
  const std::exception_ptr error = std::exchange(errors[i], nullptr);
  try {
    std::rethrow_exception(error);
  } catch (const Interrupted&) {
    throw;
  } catch (const InvalidArgument& invalid) {
    throw InvalidArgument(told(i, invalid.what()));
  } catch (const Error& other) {
    throw Error(told(i, other.what()));
  }
}

std::string InstanceBatch::told(std::size_t i, std::string message) const {
  if (message.starts_with(spec.id + ": ")) message.erase(0, spec.id.size() + 2);
  return concat(spec.id, ": instance ", i, ": ", message);
}

void InstanceBatch::check_action(std::size_t i, std::span<const double> action) const {
  for (std::size_t k = 0; k < action.size(); ++k)
    require(std::isfinite(action[k]), spec.id, ": step: action ", k, " of instance ", i,
            ": expected a finite number, got ", action[k]);
}

void InstanceBatch::check_episode(std::size_t i) const {
  if (failed[i])
    throw Error(
        concat(spec.id, ": instance ", i, " has no episode (never reset, or it failed): reset it first"));
}

void InstanceBatch::check_running(std::size_t i) const {
  require(!ended(i), spec.id, ": step: the episode of instance ", i,
          " has ended: with autoreset 'disabled' reset it first");
}

std::vector<std::unique_ptr<Env>> make_instances(const std::string& id, int count, const Json& options) {
  require(!options.is_array() || options.size() == std::size_t(count), id,
          ": options: expected a table of keys, or a list of ", count, " of them, got a list of ",
          options.size());
  std::vector<std::unique_ptr<Env>> envs;
  for (int i = 0; i < count; ++i) {
    if (!options.is_array()) {
      envs.push_back(make_env(id, options));
      continue;
    }
    try {
      envs.push_back(make_env(id, options[std::size_t(i)]));
    } catch (const InvalidArgument& error) {
      throw InvalidArgument(concat("options of instance ", i, ": ", error.what()));
    }
  }
  return envs;
}

}  // namespace diffreward
