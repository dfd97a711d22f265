// Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimation, on any
// VectorEnv.
//
// Gaussian policy over the action box scaled to [-1, 1] (clipped to it when acting), two tanh nets for policy
// and value, clipped objective, truncated episodes bootstrapped with the value of the observation they
// reached.
//
// Each decision is held for `action_repeat` steps and paid their sum. Where an episode ends inside a hold,
// the decision is paid, ended and bootstrapped at that step; the action goes on into the next episode for the
// rest of the hold, whose rewards are credited to no decision. All instances therefore decide at the same
// time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agents/agent.h"
#include "core/config.h"
#include "envs/vector_env.h"

namespace diffreward {

struct PpoConfig {
  int decisions = 64;     // decisions per instance and iteration
  int action_repeat = 1;  // environment steps per decision
  int epochs = 10;        // passes over each batch
  int minibatches = 8;    // per pass
  double lr = 1e-3;       // Adam, annealed linearly to 0
  double gamma = 0.99;    // discount per decision
  double lambda = 0.95;   // of generalised advantage estimation
  double clip = 0.2;      // of the probability ratio
  double value_weight = 0.5;
  double entropy_weight = 0.0;
  double gradient_clip = 0.5;          // largest gradient norm
  double initial_log_std = 0.0;        // of the action, in units of half the action box
  std::vector<int> hidden = {64, 64};  // tanh units of both nets
  bool normalize_observations = true;  // running mean and deviation, clipped to ±10
  bool normalize_rewards = true;       // divided by the running deviation of the discounted return
  std::uint64_t seed = 0;
  std::string device = "cpu";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("decisions", self.decisions, "decisions per instance and iteration", Bounds{1, 1e6});
    field("action_repeat", self.action_repeat, "environment steps per decision", Bounds{1, 1000});
    field("epochs", self.epochs, "passes over each batch", Bounds{1, 1000});
    field("minibatches", self.minibatches, "minibatches per pass", Bounds{1, 1e6});
    field("lr", self.lr, "learning rate of Adam, annealed linearly to 0", Bounds{0, 1});
    field("gamma", self.gamma, "discount per decision", Bounds{0, 1});
    field("lambda", self.lambda, "of generalised advantage estimation", Bounds{0, 1});
    field("clip", self.clip, "clip range of the probability ratio", Bounds{0, 10});
    field("value_weight", self.value_weight, "weight of the value loss", Bounds{0, 100});
    field("entropy_weight", self.entropy_weight, "weight of the entropy bonus", Bounds{0, 100});
    field("gradient_clip", self.gradient_clip, "largest gradient norm", Bounds{0, 1e9});
    field("initial_log_std", self.initial_log_std, "initial log deviation of the action, half-boxes",
          Bounds{-10, 3});
    field("hidden", self.hidden, "tanh units of policy and value nets", Bounds{1, 65536});
    field("normalize_observations", self.normalize_observations, "running mean and deviation, clipped to 10");
    field("normalize_rewards", self.normalize_rewards,
          "divide by the running deviation of the discounted return");
    field("seed", self.seed, "seed of weights, actions and minibatches");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
  }
};

/// One line of training metrics.
struct PpoMetrics {
  std::int64_t env_steps = 0;  // environment steps so far, all instances
  double reward = 0;           // mean reward per environment step in this iteration, what the agent is paid
  double task_reward = 0;      // the same of the task's own reward
  double episode_return = 0;   // mean over episodes that ended in this iteration; NaN when none did
  double policy_loss = 0, value_loss = 0, entropy = 0, kl = 0, clip_fraction = 0, explained_variance = 0;
};

class Ppo final : public Agent {
 public:
  /// The env must outlive the agent; its autoreset mode must be same_step.
  Ppo(VectorEnv& env, const PpoConfig& config);
  ~Ppo() override;

  /// Trains for at least `env_steps` more environment steps (whole iterations), starting with a reset of the
  /// env; the learning rate falls to 0 over this call. Throws Error, naming the iteration, when rewards or
  /// losses stop being finite, and Interrupted between iterations on Ctrl-C.
  void train(std::int64_t env_steps, const std::function<void(const PpoMetrics&)>& report = {});

  /// The policy's mean action, held for action_repeat steps per instance, with frozen observation statistics.
  void act(std::span<const double> obs, std::span<double> actions) override;
  void reset(std::span<const unsigned char> mask) override;

  /// What the value net expects of the rest of an episode from observations [n, obs_dim]: discounted paid
  /// reward, [n].
  void value(std::span<const double> obs, std::span<double> out) const;

  const PpoConfig& config() const;

  /// Writes weights, statistics, optimiser and random state (.safetensors), atomically.
  void save(const std::filesystem::path& path) const;
  /// Reads a saved agent for `env`; training goes on as if it had never stopped. Throws Error naming the file
  /// and the first difference.
  static std::unique_ptr<Ppo> load(const std::filesystem::path& path, VectorEnv& env);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
