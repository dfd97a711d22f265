// The front door of agents: what acts (envs/agent.h), what learns, and what it earns. All of them, by name:
// agents/catalog.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "envs/agent.h"

namespace diffreward {

/// One line of metrics of training.
struct TrainingMetrics {
  std::int64_t env_steps = 0;  // environment steps so far, all instances
  double reward = 0;           // mean per environment step since the line before, what the agent is paid
  double task_reward = 0;      // the same of the task's own reward
  double episode_return = 0;   // mean over episodes that ended since then; NaN when none did
  std::map<std::string, double> details = {};  // the algorithm's own: losses, entropy, ...
};

/// An agent that is trained in the VectorEnv it was made for.
class LearningAgent : public Agent {
 public:
  /// Trains for at least `env_steps` more environment steps, starting with a reset of the env. Throws Error when
  /// a reward or a loss stops being finite, and Interrupted on Ctrl-C.
  virtual void train(std::int64_t env_steps,
                     const std::function<void(const TrainingMetrics&)>& report = {}) = 0;
  /// Writes everything that acting and further training need (.safetensors), atomically.
  virtual void save(const std::filesystem::path& path) const = 0;
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
/// `env` somewhere inside later episodes, as the agent: the next view it acts on must mark what begins. Never returns if an episode never ends.
std::vector<EpisodeOutcome> evaluate_agent(VectorEnv& env, Agent& agent, int episodes, std::uint64_t seed);

}  // namespace diffreward
