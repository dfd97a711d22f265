// Something that acts in a VectorEnv: what recording, evaluation and planning call. Agents themselves are made
// further up (agents/catalog.h).
#pragma once

#include <cstdint>
#include <span>

#include "envs/vector_env.h"

namespace diffreward {

class Agent {
 public:
  virtual ~Agent() = default;
  /// Chooses actions [n, act_dim], task units, for what `view` shows of n instances: observations and infos, and
  /// in view.reset which of them begin an episode (empty: none), whose plans and held actions are void. A view
  /// may be made by hand, StepView{.obs = obs}, where an agent reads no more than that.
  virtual void act(const StepView& view, std::span<double> actions) = 0;
  /// Numbers the episodes [n] that begin with the next act(): what the agent draws at random in one of them then
  /// depends on its number alone, not on the instance.
  virtual void number_episodes(std::span<const std::uint64_t> numbers) { (void)numbers; }
  /// log pi(action | observation) [n] of the latest act(), in nats per task units; false where the agent has no
  /// density, and `out` is then left alone.
  virtual bool log_probabilities(std::span<double> out) const {
    (void)out;
    return false;
  }
};

/// Whether instance i begins an episode.
inline bool begins(const StepView& view, std::size_t i) {
  return i < view.reset.size() && view.reset[i] != 0;
}

}  // namespace diffreward
