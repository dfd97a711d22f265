// The front door of agents: what acts (envs/agent.h), what learns, and what it earns. All of them, by name:
// agents/catalog.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agents/instance_noise.h"
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
  /// Trains for at least `env_steps` more environment steps (updates, where it learns from data alone), starting with a
  /// reset of the env. Throws Error when a reward or a loss stops being finite, and Interrupted on Ctrl-C.
  virtual void train(std::int64_t env_steps,
                     const std::function<void(const TrainingMetrics&)>& report = {}) = 0;
  /// Environment steps learned from so far, all instances; updates, where it learns from data alone.
  virtual std::int64_t env_steps() const = 0;
  /// From now on act() draws from the policy as it does while it learns, instance i from streams[i], a numbered episode
  /// from its number's stream; before, it takes the policy's mode.
  void act_stochastically(const Streams& streams);
  void number_episodes(std::span<const std::uint64_t> numbers) override;
  /// Of the actions before they were clipped to the box.
  bool log_probabilities(std::span<double> out) const override;
  /// Writes what acting needs (.safetensors), atomically.
  virtual void save(const std::filesystem::path& path) const = 0;
  /// Writes everything there is between two reports of train(), the environment's state included.
  virtual void save_checkpoint(const std::filesystem::path& path) const = 0;
  /// Goes back to a checkpoint of an agent of equal settings and seed. The next train() goes on with the call that the
  /// checkpoint was made in, to its end, as if it had never stopped: env_steps must be those of that call. Throws Error
  /// naming the file and the first difference.
  virtual void load_checkpoint(const std::filesystem::path& path) = 0;

 protected:
  /// Of an agent that acts in so many instances.
  explicit LearningAgent(int instances) : instances_(instances) {}

  /// For the beginning of act(): the number of instances. Episodes that begin get their noise. Throws InvalidArgument for
  /// observations and actions of other sizes, and where it draws for other than its instances.
  std::size_t begin_act(const StepView& view, std::span<const double> actions, std::size_t obs_dim,
                        std::size_t act_dim);

  /// What act() draws with; empty where it takes the mode.
  std::optional<InstanceNoise> noise_;
  std::vector<double> log_probabilities_;  // [instances], of the latest drawn actions; for act() to write

 private:
  int instances_;
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
/// `purpose`: other starts of the same seed (Purpose::kSelection: to choose by, where kEvaluation reports).
std::vector<EpisodeOutcome> evaluate_agent(VectorEnv& env, Agent& agent, int episodes, std::uint64_t seed,
                                           Purpose purpose = Purpose::kEvaluation);

}  // namespace diffreward
