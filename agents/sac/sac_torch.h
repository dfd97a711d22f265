// The inside of Sac, shared by sac.cpp (training, acting) and sac_file.cpp. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agents/action_scale.h"
#include "agents/agent_file_torch.h"
#include "agents/nets/mlp_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/nets/squashed_gaussian_torch.h"
#include "agents/sac/replay_buffer.h"
#include "agents/sac/sac.h"
#include "core/rng.h"

namespace diffreward {

/// The policy and the logarithm of the temperature, which one optimiser trains.
struct SacActor {
  SacActor(const SacConfig& config, std::int64_t obs_dim, std::int64_t act_dim, Parameters of);
  Parameters parameters;
  SquashedGaussian policy;
  torch::Tensor log_temperature;  // []
};

/// Q_1 and Q_2.
struct SacCritic {
  SacCritic(const SacConfig& config, std::int64_t obs_dim, std::int64_t act_dim, Seed seed,
            const torch::Device& device);
  Parameters parameters;
  Mlp nets;  // two

  /// Q_1 and Q_2, [2, n]. Not `trained`: the parameters are constants.
  torch::Tensor values(const torch::Tensor& observation, const torch::Tensor& action, bool trained) const {
    return nets(torch::cat({observation, action}, 1), trained).squeeze(2);
  }
};

/// Transitions on the device, drawn on the CPU.
struct SacBatch {
  torch::Tensor observation, action, reward, discount, next_observation;
};

/// Draws so many transitions.
SacBatch draw_transitions(const ReplayBuffer& from, Rng& rng, std::int64_t rows, const SacConfig& config,
                          const torch::Device& device);

/// One update, as far as its critics are concerned.
struct SacStep {
  const SacBatch& batch;
  const SacCritic& critic;
  torch::Tensor value;         // [2, n]  Q_k(s, a), trained
  torch::Tensor next_value;    // [n]  min_k Q'_k(s', a') - alpha log pi(a'|s')
  SquashedGaussian::Draw own;  // a ~ pi(.|s); undefined where the policy is not updated
  torch::Tensor temperature;   // [1]  alpha
};

/// Where batches come from, what they are paid, and what the critics minimise: of SAC itself. Who learns as SAC does from
/// other payments overrides what differs (agents/imitation).
class SacObjective {
 public:
  /// `absorbing`: the memory has an absorbing state (replay_buffer.h). The critics see its flag; the policy, which
  /// has no choice there, does not.
  SacObjective(SacConfig config, const torch::Device& device, bool absorbing = false)
      : config_(std::move(config)), device_(device), absorbing_(absorbing) {}
  virtual ~SacObjective() = default;

  virtual std::string name() const { return "SAC"; }
  /// What a checkpoint must have in common with who goes on from it.
  virtual Json settings() const { return to_json(config_); }
  /// Of policy and temperature.
  virtual double actor_lr() const { return config_.lr; }

  /// config.batch transitions.
  virtual SacBatch batch(const ReplayBuffer& memory, Rng& rng);
  /// 1/2 sum_k (Q_k(s, a) - y)^2.
  virtual torch::Tensor critic_loss(const SacStep& step);

  /// Adds details to a line of metrics, and begins the next.
  virtual void tell(std::map<std::string, double>& details) { (void)details; }
  /// Adds to a checkpoint what is learned beside SAC's nets, and reads it again.
  virtual void save(NamedTensors& tensors, Json& progress) const { (void)tensors, (void)progress; }
  virtual void load(const AgentFile& file) { (void)file; }

  bool absorbing() const { return absorbing_; }

 protected:
  SacConfig config_;
  torch::Device device_;

 private:
  bool absorbing_;
};

/// Sums over updates, for metrics.
struct SacSums {
  torch::Tensor critic, actor;  // [2] critic loss, Q; [2] actor loss, entropy
  std::int64_t critic_updates = 0, actor_updates = 0;
};

/// What training needs beyond the policy; made by the first call of train().
struct SacTraining {
  SacTraining(const SacConfig& config, std::uint64_t seed, std::size_t n, std::size_t obs_dim,
              std::size_t act_dim, bool absorbing, SacActor& actor, const torch::Device& device);
  SacCritic critic, target;
  Optimizer critic_optimizer, actor_optimizer;
  ReplayBuffer buffer;
  Rng action_rng, batch_rng, noise_rng;
  std::int64_t updates = 0;
  std::vector<double> episode_return;  // [n], of the running episodes
};

struct Sac::Impl {
  Impl(VectorEnv& vector_env, const SacConfig& sac_config, std::uint64_t of_seed, Parameters from,
       const torch::Device& on, std::unique_ptr<SacObjective> aim);

  SacTraining& begin_training();
  void explore(std::span<float> half_boxes);
  torch::Tensor noise(std::int64_t rows);
  void step(TrainingMetrics& metrics);
  /// The policy's draw where the critics observe this; in the absorbing state the action 0, of which it is sure.
  SquashedGaussian::Draw choose(const torch::Tensor& observation, const torch::Tensor& noise) const;
  void update();
  void report(TrainingMetrics& metrics);
  double target_entropy() const {
    return config.target_entropy != 0 ? config.target_entropy : -static_cast<double>(act_dim);
  }

  VectorEnv& env;
  SacConfig config;
  std::uint64_t seed;
  std::size_t n, obs_dim, act_dim;
  ActionScale scale;
  torch::Device device;
  SacActor actor;
  std::unique_ptr<SacObjective> objective;
  std::optional<SacTraining> training;
  std::int64_t env_steps = 0, calls = 0;
  std::int64_t call_begin = 0;  // env_steps when the latest call of train() began
  bool resumed = false;         // inside that call

  // of one line of metrics
  SacSums sums;
  std::int64_t steps = 0, finished = 0;  // environment steps, episodes that ended
  double finished_return = 0;

  // of train()
  std::vector<double> actions;  // [n, act_dim]  task units
  std::vector<float> chosen;    // [n, act_dim]  half-boxes
};

}  // namespace diffreward
