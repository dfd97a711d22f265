// The inside of Ppo, shared by ppo.cpp (training, acting) and ppo_file.cpp. Includes torch: private to .cpp
// files.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <span>
#include <vector>

#include "agents/action_scale.h"
#include "agents/agent_file_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/ppo/actor_critic_torch.h"
#include "agents/ppo/ppo.h"
#include "agents/ppo/running_statistics.h"
#include "core/rng.h"

namespace diffreward {

struct PpoMetrics : TrainingMetrics {
  double policy_loss = 0, value_loss = 0, entropy = 0, kl = 0, clip_fraction = 0, explained_variance = 0;
};

/// What one iteration collects, time-major.
struct PpoRollout {
  PpoRollout(std::int64_t decisions, std::int64_t n, std::int64_t obs_dim, std::int64_t act_dim)
      : observation(torch::zeros({decisions + 1, n, obs_dim})),
        action(torch::zeros({decisions, n, act_dim})),
        log_probability(torch::zeros({decisions, n})),
        reward(static_cast<std::size_t>(decisions * n)),
        terminated(reward.size()),
        ended(reward.size()) {}

  torch::Tensor observation;  // [decisions + 1, n, obs_dim]  normalised; the last is what the next answers to
  torch::Tensor action;       // [decisions, n, act_dim]  before clipping, in half-boxes
  torch::Tensor log_probability;                // [decisions, n]
  std::vector<float> reward;                    // [decisions, n]  summed over the hold
  std::vector<std::uint8_t> terminated, ended;  // [decisions, n]
  std::vector<std::size_t> truncated_at;        // indices into [decisions, n]
  std::vector<float> truncated_observation;     // [truncated_at.size(), obs_dim]  normalised
};

struct Ppo::Impl {
  Impl(VectorEnv& vector_env, const PpoConfig& ppo_config, std::uint64_t of_seed, Parameters from);

  void collect(PpoRollout& rollout, PpoMetrics& metrics);
  void hold(PpoRollout& rollout, std::size_t decision, PpoMetrics& metrics);
  torch::Tensor training_table(PpoRollout& rollout, PpoMetrics& metrics);
  void optimize(const torch::Tensor& table, PpoMetrics& metrics);
  void normalize(std::span<const double> obs, float* out) const;
  void check_finite(const PpoMetrics& metrics) const;
  void write(const std::filesystem::path& path, const std::string& kind, Json progress,
             NamedTensors tensors) const;
  void read(const AgentFile& file);

  VectorEnv& env;
  PpoConfig config;
  std::uint64_t seed;
  std::size_t n, obs_dim, act_dim;
  ActionScale scale;
  torch::Device device;
  Rng action_rng, batch_rng;
  ActorCritic net;
  Optimizer optimizer;
  RunningStatistics observations;
  ReturnDeviation returns;
  std::int64_t env_steps = 0, iterations = 0, calls = 0;
  std::int64_t call_begin = 0;  // iterations when the latest call of train() began
  bool resumed = false;         // inside that call
  double lr = 0;                // of the present iteration, or minibatch

  // of training
  std::vector<double> actions;         // [n, act_dim]  task units
  std::vector<double> episode_return;  // [n]
  double finished_return = 0;          // sum over episodes that ended in this iteration
  std::int64_t finished = 0;
  // of act()
  std::vector<double> held;  // [instances, act_dim]  task units
  std::vector<int> left;     // [instances]  steps the held action still has
};

}  // namespace diffreward
