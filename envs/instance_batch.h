// The instances of a batch, their latest outcomes, and the rule of a step: count, truncate, reset by itself.
// What VectorEnv and AsyncEnv share; they differ in who steps which instance when. Private to envs/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "envs/env.h"
#include "envs/vector_env.h"

namespace diffreward {

/// One thread at a time may work on an instance; it touches no other instance's entries.
struct InstanceBatch {
  /// Throws InvalidArgument for no instances, and for specs that do not fit (see make_vector).
  InstanceBatch(std::vector<std::unique_ptr<Env>> instances, const VectorConfig& config);

  std::vector<std::unique_ptr<Env>> envs;
  EnvSpec spec;  ///< what holds for all of them; max_steps is the limit in force
  Autoreset mode;
  std::size_t obs_dim, action_dim, info_dim;

  std::vector<double> obs, final_obs;                      // [n, obs_dim]
  std::vector<double> info, final_info;                    // [n, info_dim]
  std::vector<double> reward;                              // [n]
  std::vector<std::uint8_t> terminated, truncated, reset;  // [n]
  std::vector<std::int64_t> steps;                         // [n] since the episode began
  std::vector<std::uint8_t> failed;                        // [n] the instance has no episode to step
  std::vector<std::exception_ptr> errors;                  // [n] why it failed, until rethrown

  std::size_t size() const { return envs.size(); }
  std::span<double> obs_of(std::size_t i) { return {obs.data() + i * obs_dim, obs_dim}; }
  std::span<double> final_obs_of(std::size_t i) { return {final_obs.data() + i * obs_dim, obs_dim}; }
  std::span<double> info_of(std::size_t i) { return {info.data() + i * info_dim, info_dim}; }
  std::span<double> final_info_of(std::size_t i) { return {final_info.data() + i * info_dim, info_dim}; }
  bool ended(std::size_t i) const { return terminated[i] || truncated[i]; }

  void begin_episode(std::size_t i, std::optional<Seed> seed, const ResetOptions& options) {
    failed[i] = 1;
    envs[i]->reset(seed, options, obs_of(i));
    finish(i);
    reward[i] = 0;
    steps[i] = 0;
    terminated[i] = truncated[i] = 0;
    reset[i] = 1;
    failed[i] = 0;
  }

  /// One step of instance i, which has an episode, and with autoreset 'disabled' one that has not ended.
  void step(std::size_t i, std::span<const double> action) {
    static const ResetOptions kNoOptions;
    if (mode == Autoreset::kNextStep && ended(i)) {
      begin_episode(i, std::nullopt, kNoOptions);
      return;
    }
    const std::span<double> row = obs_of(i);
    const StepResult result = envs[i]->step(action, row);
    ++steps[i];
    finish(i);
    reward[i] = result.reward;
    terminated[i] = result.terminated;
    truncated[i] = spec.max_steps > 0 && steps[i] >= spec.max_steps;
    reset[i] = 0;
    if (mode == Autoreset::kSameStep && ended(i)) {
      envs[i]->reset(std::nullopt, kNoOptions, row);
      envs[i]->info(info_of(i));
      steps[i] = 0;
      reset[i] = 1;
    }
  }

  /// Notes what instance i tells of the state reached, and that this state is the latest.
  void finish(std::size_t i) {
    envs[i]->info(info_of(i));
    std::ranges::copy(obs_of(i), final_obs_of(i).begin());
    std::ranges::copy(info_of(i), final_info_of(i).begin());
  }

  /// Calls body(), which works on instance i. Whether it returned; if it threw, the instance has failed.
  template <class Body>
  bool attempt(std::size_t i, const Body& body) {
    try {
      body();
      return true;
    } catch (...) {
      fail(i, std::current_exception());
      return false;
    }
  }
  void fail(std::size_t i, std::exception_ptr error);
  /// Throws the error of instance i, once, with its number in the message of an Error.
  [[noreturn]] void rethrow(std::size_t i);
  /// A message of instance i with its number: "Hopper-v5: instance 3: ...".
  std::string told(std::size_t i, std::string message) const;

  /// Throws InvalidArgument naming the first value that is not finite.
  void check_action(std::size_t i, std::span<const double> action) const;
  /// Throws Error for an instance without an episode.
  void check_episode(std::size_t i) const;
  /// Throws InvalidArgument for an instance whose episode has ended, for autoreset 'disabled'.
  void check_running(std::size_t i) const;
};

/// The first n seeds of a family.
inline std::vector<Seed> seeds_of(const Streams& streams, std::size_t n) {
  std::vector<Seed> seeds(n);
  for (std::size_t i = 0; i < n; ++i) seeds[i] = streams[i];
  return seeds;
}

/// Instances with options as make_vector takes them.
std::vector<std::unique_ptr<Env>> make_instances(const std::string& id, int count, const Json& options);

/// Whether all values are finite. A sum is used because it has no branch: x - x is 0 for finite x, else
/// not-a-number.
inline bool all_finite(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value - value;
  return sum == 0;
}

}  // namespace diffreward
