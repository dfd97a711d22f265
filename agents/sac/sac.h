// Soft actor-critic (Haarnoja et al., "Soft actor-critic algorithms and applications", 2018) on any VectorEnv.
//
// A squashed Gaussian policy pi(a|s), a = tanh(u), u ~ N(mean(s), std(s)^2), over the action box scaled to [-1, 1];
// twin critics Q_1, Q_2 with slowly following copies Q'_k; a temperature alpha that holds the policy's entropy at a
// target:
//
//   y        = R + gamma^m (1 - terminated) (min_k Q'_k(s', a') - alpha log pi(a'|s')),   a' ~ pi(.|s')
//   critics  minimise 1/2 sum_k (Q_k(s, a) - y)^2
//   policy   minimises alpha log pi(a|s) - min_k Q_k(s, a),   a ~ pi(.|s)
//   alpha    d log alpha = -lr (log pi(a|s) + target entropy), through Adam
//
// Steps of all instances are remembered (replay_buffer.h); updates_per_step of them follow each environment step, below
// or above 1. A truncated episode is bootstrapped from the state it reached, a terminated one is worth nothing beyond.
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

struct SacConfig {
  std::vector<int> hidden = {256, 256};  // ReLU units of policy and critics
  bool layer_norm = false;               // in the critics, before each ReLU
  int batch = 256;
  double lr = 3e-4;  // Adam, of all three
  double gamma = 0.99;
  double tau = 0.005;                     // share of the critics in their followers, an update
  double updates_per_step = 1;            // updates per environment step of one instance
  int actor_every = 1;                    // critic updates per update of policy and temperature
  int n_step = 1;                         // rewards summed before bootstrapping
  std::int64_t buffer = 1'000'000;        // transitions remembered
  std::int64_t learning_starts = 10'000;  // environment steps of uniform actions before
  double temperature = 1;                 // alpha; where it is learned the first one
  bool learn_temperature = true;
  double target_entropy = 0;          // nats in half-boxes; 0: minus the dimensions of the action
  std::int64_t report_every = 5'000;  // environment steps per line of metrics

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("hidden", self.hidden, "ReLU units of policy and critics", Bounds{1, 65536});
    field("layer_norm", self.layer_norm, "normalise layers of the critics");
    field("batch", self.batch, "transitions per update", Bounds{1, 1 << 20});
    field("lr", self.lr, "learning rate of Adam", Bounds{0, 1});
    field("gamma", self.gamma, "discount per step", Bounds{0, 1});
    field("tau", self.tau, "share of the critics that their followers take, an update", Bounds{0, 1});
    field("updates_per_step", self.updates_per_step, "updates per environment step", Bounds{0, 1000});
    field("actor_every", self.actor_every, "critic updates per update of policy and temperature",
          Bounds{1, 1000});
    field("n_step", self.n_step, "rewards summed before bootstrapping", Bounds{1, 1000});
    field("buffer", self.buffer, "transitions remembered", Bounds{1, 1e12});
    field("learning_starts", self.learning_starts, "environment steps of uniform actions before learning",
          Bounds{0, 1e12});
    field("temperature", self.temperature, "price of entropy, the first one where it is learned",
          Bounds{0, 1e6});
    field("learn_temperature", self.learn_temperature, "hold the entropy at its target by the temperature");
    field("target_entropy", self.target_entropy, "of the policy, nats; 0 for minus the action's dimensions",
          Bounds{-1e6, 1e6});
    field("report_every", self.report_every, "environment steps per line of metrics", Bounds{1, 1e12});
  }
};

class SacObjective;  // sac_torch.h

class Sac final : public LearningAgent {
 public:
  static constexpr const char* kKind = "diffreward.sac.1";  // of its files
  /// The env must outlive the agent; its autoreset mode must be same_step, its actions bounded.
  /// `seed`: of weights, actions, batches and starts.
  Sac(VectorEnv& env, const SacConfig& config, std::uint64_t seed = 0, const std::string& device = "cpu");
  /// One that learns from other batches, or has its critics minimise something else (agents/imitation).
  Sac(VectorEnv& env, const SacConfig& config, std::uint64_t seed, const std::string& device,
      std::unique_ptr<SacObjective> objective);
  ~Sac() override;

  /// Details of metrics: critic_loss, actor_loss, temperature, entropy, q (means over the updates since the line before),
  /// updates (so far); and the objective's.
  void train(std::int64_t env_steps, const std::function<void(const TrainingMetrics&)>& report = {}) override;

  /// The policy's mode, tanh of its mean, or a draw from it (act_stochastically). Reads observations, and resets where it
  /// draws.
  void act(const StepView& view, std::span<double> actions) override;
  std::int64_t env_steps() const override;

  /// min_k Q_k: what the critics expect of the rest of an episode from `actions` [n, act_dim], task units, in observations
  /// [n, obs_dim]: discounted paid reward with the entropy's price, [n]. Throws Error before train(): critics are no part
  /// of a saved policy.
  void value(std::span<const double> obs, std::span<const double> actions, std::span<double> out) const;

  const SacConfig& config() const;

  void save(const std::filesystem::path& path) const override;
  void save_checkpoint(const std::filesystem::path& path) const override;
  void load_checkpoint(const std::filesystem::path& path) override;
  /// Reads a saved policy for `env`. Throws Error naming the file and the first difference.
  static std::unique_ptr<Sac> load(const std::filesystem::path& path, VectorEnv& env,
                                   const std::string& device = "cpu");

 private:
  struct Impl;
  explicit Sac(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// For the catalog.
std::unique_ptr<LearningAgent> make_learner(const SacConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device);
std::unique_ptr<LearningAgent> load_agent(const SacConfig& of, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device);
inline constexpr const char* kind_of(const SacConfig&) {
  return Sac::kKind;
}

}  // namespace diffreward
