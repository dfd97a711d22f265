// Behaviour cloning (Pomerleau 1989): a Gaussian policy fitted to recorded actions by maximum likelihood.
//
//   pi(a|s) = N(a; tanh(m(s)), diag(sigma^2)),   minimise  -E log pi(a|s)
//
// in half-boxes, with m an MLP of ReLU layers over observations of mean 0 and deviation 1, and sigma the same in every
// state (as in Kostrikov et al., "Offline reinforcement learning with implicit Q-learning", 2022). Whole episodes are held
// out, and the weights of the smallest held-out loss are those that act. The environment is only asked for its sizes.
//
// A diffusion model clones behaviour too: `train` with --condition-probability 1, and a Planner (docs/agents.md).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agents/agent.h"
#include "core/config.h"
#include "envs/vector_env.h"

namespace diffreward {

struct BcConfig {
  std::string data;  // data set: file, Minari folder or generate's folder
  std::vector<int> hidden = {256, 256};
  int batch = 256;
  double lr = 1e-3;  // Adam
  double weight_decay = 0;
  double held_out = 0.05;           // share of the episodes
  std::int64_t report_every = 500;  // updates per line of metrics

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("data", self.data, "behaviour to clone: a file, a Minari folder or the folder of generate");
    field("hidden", self.hidden, "ReLU units of the policy", Bounds{1, 65536});
    field("batch", self.batch, "transitions per update", Bounds{1, 1 << 20});
    field("lr", self.lr, "learning rate of Adam", Bounds{0, 1});
    field("weight_decay", self.weight_decay, "of AdamW", Bounds{0, 1});
    field("held_out", self.held_out, "share of the episodes that are held out", Bounds{0, 0.9});
    field("report_every", self.report_every, "updates per line of metrics", Bounds{1, 1e12});
  }
};

class BcObjective;  // bc_torch.h

class Bc final : public LearningAgent {
 public:
  static constexpr const char* kKind = "diffreward.bc.1";  // of its files
  /// The env must outlive the agent. Throws Error naming the data where its sizes are not the environment's.
  Bc(VectorEnv& env, const BcConfig& config, std::uint64_t seed = 0, const std::string& device = "cpu");
  /// One that minimises something else (agents/imitation/dwbc.h).
  Bc(VectorEnv& env, const BcConfig& config, std::uint64_t seed, const std::string& device,
     std::unique_ptr<BcObjective> objective);
  ~Bc() override;

  /// `updates` more updates; they stand where others count environment steps. Details of metrics: loss and held_out_loss,
  /// nats per action in half-boxes; and the objective's.
  void train(std::int64_t updates, const std::function<void(const TrainingMetrics&)>& report = {}) override;
  /// The policy's mean, or a draw from it, clipped to the box. Reads observations.
  void act(const StepView& view, std::span<double> actions) override;
  std::int64_t env_steps() const override;  ///< updates

  /// log pi(a|s) of actions, task units, in half-boxes: obs [n, obs_dim], actions [n, act_dim], out [n]. Not yet clipped to the
  /// box, a Gaussian has a density on its faces, too.
  void log_density(std::span<const float> obs, std::span<const float> actions, std::span<float> out) const;
  /// Numbers of an observation and of an action.
  std::pair<int, int> sizes() const;

  const BcConfig& config() const;

  void save(const std::filesystem::path& path) const override;
  void save_checkpoint(const std::filesystem::path& path) const override;
  void load_checkpoint(const std::filesystem::path& path) override;
  /// Reads a saved policy for `env`. Throws Error naming the file and the first difference.
  static std::unique_ptr<Bc> load(const std::filesystem::path& path, VectorEnv& env,
                                  const std::string& device = "cpu");

 private:
  struct Impl;
  explicit Bc(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// For the catalog.
std::unique_ptr<LearningAgent> make_learner(const BcConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device);
std::unique_ptr<LearningAgent> load_agent(const BcConfig& of, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device);
inline constexpr const char* kind_of(const BcConfig&) {
  return Bc::kKind;
}

}  // namespace diffreward
