// Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimation, on any
// VectorEnv.
//
// Gaussian policy over the action box scaled to [-1, 1] (clipped to it when acting), two tanh nets for policy
// and value, clipped objective, truncated episodes bootstrapped with the value of the observation they
// reached.
//
// Its learning rate falls linearly, stays, or adapts to the divergence KL of the new policy from the one that acted: after
// a minibatch with KL > 2 target_kl it is divided by 1.5, with KL < target_kl / 2 multiplied by it, within [1e-5, 1e-2]
// (Heess et al. 2017 adapt a penalty so; the rate itself, as in Rudin et al. 2022). KL is the mean of
// ratio - 1 - log ratio, which is unbiased and never negative.
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
  double lr = 1e-3;       // Adam
  std::string lr_schedule =
      "linear";              // falls to 0 over a call of train(), constant, or adaptive to the divergence
  double target_kl = 0.008;  // of the adaptive one: policy before and after a minibatch, nats
  double gamma = 0.99;       // discount per decision
  double lambda = 0.95;      // of generalised advantage estimation
  double clip = 0.2;         // of the probability ratio
  double value_weight = 0.5;
  double entropy_weight = 0.0;
  double gradient_clip = 0.5;          // largest gradient norm
  double initial_log_std = 0.0;        // of the action, in units of half the action box
  std::vector<int> hidden = {64, 64};  // tanh units of both nets
  bool normalize_observations = true;  // running mean and deviation, clipped to ±10
  bool normalize_rewards = true;       // divided by the running deviation of the discounted return

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("decisions", self.decisions, "decisions per instance and iteration", Bounds{1, 1e6});
    field("action_repeat", self.action_repeat, "environment steps per decision", Bounds{1, 1000});
    field("epochs", self.epochs, "passes over each batch", Bounds{1, 1000});
    field("minibatches", self.minibatches, "minibatches per pass", Bounds{1, 1e6});
    field("lr", self.lr, "learning rate of Adam, the first one", Bounds{0, 1});
    field("lr_schedule", self.lr_schedule,
          "linear: falls to 0; adaptive: grows and shrinks with the divergence of the policy from the one "
          "that acted",
          Choices{"linear", "constant", "adaptive"});
    field("target_kl", self.target_kl, "divergence that the adaptive schedule aims at, nats", Bounds{0, 100});
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
  }
};

class Ppo final : public LearningAgent {
 public:
  static constexpr const char* kKind = "diffreward.ppo.5";  // of its files
  /// The env must outlive the agent; its autoreset mode must be same_step.
  /// `seed`: of weights, actions, minibatches and starts.
  Ppo(VectorEnv& env, const PpoConfig& config, std::uint64_t seed = 0, const std::string& device = "cpu");
  ~Ppo() override;

  /// Whole iterations. Details of metrics: policy_loss, value_loss, entropy, kl, clip_fraction, explained_variance, lr.
  void train(std::int64_t env_steps, const std::function<void(const TrainingMetrics&)>& report = {}) override;

  /// The policy's mean action, or a draw from it (act_stochastically), held for action_repeat steps per instance, with
  /// frozen observation statistics. Reads observations and resets of the view.
  void act(const StepView& view, std::span<double> actions) override;
  std::int64_t env_steps() const override;

  /// What the value net expects of the rest of an episode from observations [n, obs_dim]: discounted paid
  /// reward, [n].
  void value(std::span<const double> obs, std::span<double> out) const;

  const PpoConfig& config() const;

  /// Writes nets and statistics.
  void save(const std::filesystem::path& path) const override;
  void save_checkpoint(const std::filesystem::path& path) const override;
  void load_checkpoint(const std::filesystem::path& path) override;
  /// Reads a saved agent for `env`; another call of train() goes on from its nets and statistics, with a fresh optimiser.
  /// Throws Error naming the file and the first difference.
  static std::unique_ptr<Ppo> load(const std::filesystem::path& path, VectorEnv& env,
                                   const std::string& device = "cpu");

 private:
  struct Impl;
  explicit Ppo(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// For the catalog.
std::unique_ptr<LearningAgent> make_learner(const PpoConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device);
std::unique_ptr<LearningAgent> load_agent(const PpoConfig& of, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device);
inline constexpr const char* kind_of(const PpoConfig&) {
  return Ppo::kKind;
}

}  // namespace diffreward
