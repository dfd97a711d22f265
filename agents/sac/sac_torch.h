// The inside of Sac, shared by sac.cpp (training, acting) and sac_file.cpp. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <span>
#include <vector>

#include "agents/action_scale.h"
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

/// Sums over updates, for metrics.
struct SacSums {
  torch::Tensor critic, actor;  // [2] critic loss, Q; [2] actor loss, entropy
  std::int64_t critic_updates = 0, actor_updates = 0;
};

/// What training needs beyond the policy; made by the first call of train().
struct SacTraining {
  SacTraining(const SacConfig& config, std::uint64_t seed, std::size_t n, std::size_t obs_dim,
              std::size_t act_dim, SacActor& actor, const torch::Device& device);
  SacCritic critic, target;
  Optimizer critic_optimizer, actor_optimizer;
  ReplayBuffer buffer;
  Rng action_rng, batch_rng, noise_rng;
  std::int64_t updates = 0;
  std::vector<double> episode_return;  // [n], of the running episodes
};

struct Sac::Impl {
  Impl(VectorEnv& vector_env, const SacConfig& sac_config, std::uint64_t of_seed, Parameters from,
       const torch::Device& on);

  void explore(std::span<float> half_boxes);
  torch::Tensor noise(std::int64_t rows);
  void step(TrainingMetrics& metrics);
  SacBatch draw_batch();
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
  SacBatch on_cpu;
};

}  // namespace diffreward
