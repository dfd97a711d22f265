// The front door of agents: something that acts, and what it earns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "envs/vector_env.h"

namespace diffreward {

class Agent {
 public:
  virtual ~Agent() = default;
  /// Chooses actions for n observations.  obs: [n, obs_dim], actions: [n, act_dim]; task units
  virtual void act(std::span<const double> obs, std::span<double> actions) = 0;
  /// Forgets what it remembers of the instances with mask[i] != 0 (plans, histories); an empty mask means
  /// all.
  virtual void reset(std::span<const unsigned char> mask) { (void)mask; }
  /// The same for instances whose episodes have numbers, numbers [n]: what the agent draws at random in an
  /// episode then depends on its number alone, not on the instance.
  virtual void begin_episodes(std::span<const unsigned char> mask, std::span<const std::uint64_t> numbers) {
    (void)numbers;
    reset(mask);
  }
};

/// What an agent earned in one whole episode.
struct EpisodeOutcome {
  double task_return = 0;  // sum of the task's own reward
  double paid_return = 0;  // sum of what the agent was paid
  int steps = 0;
  std::vector<double> last_observation;  // [obs_dim]  the state the last step reached
  std::vector<double> last_info;         // [info_size]  what Env::info tells of that state
};

/// Runs `episodes` whole episodes, one per instance and round; episode k starts from stream k of the seed
/// (Purpose::kEvaluation). Outcomes stand in that order, so they depend neither on threads nor on which
/// episode ends first, and starts not on the number of instances. Works with every autoreset mode and leaves
/// `env` somewhere inside later episodes. Never returns if an episode never ends.
std::vector<EpisodeOutcome> evaluate_agent(VectorEnv& env, Agent& agent, int episodes, std::uint64_t seed);

}  // namespace diffreward
