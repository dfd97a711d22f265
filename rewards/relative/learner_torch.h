// The training loop that extract() and train_discriminator() share.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "agents/nets/batch_parts_torch.h"
#include "agents/nets/nets_torch.h"
#include "rewards/relative/reward_net_torch.h"

namespace diffreward {

/// A net in training: the weights that move, and `kept`, whose weights become their average.
class Learner {
 public:
  /// The config must live as long, and so must the processes among which match() divides its parts, if there are any.
  Learner(const ExtractConfig& config, std::unique_ptr<RewardNet> net, RewardNet& kept,
          Ranks* ranks = nullptr);
  const RewardNet& net() const { return *net_; }
  /// One optimiser step on `loss`, a function of net(); returns its value.
  double step(const torch::Tensor& loss);
  /// The same for the mean of weights (output - target)^2, with less of a graph, in ExtractConfig::accumulate parts:
  /// output(part) has the part's rows. target: [n, ...], weights: [n or 1, ...]
  double match(const std::function<torch::Tensor(const BatchPart&)>& output, const torch::Tensor& target,
               const torch::Tensor& weights);

 private:
  std::unique_ptr<RewardNet> net_;
  OptimizerSettings settings() const;  // of the step to come

  const ExtractConfig& config_;
  Optimizer optimizer_;
  BatchParts parts_;
};

/// Loss weights over t with mean 1, [timesteps], on the config's device.
torch::Tensor timestep_weights(const ExtractConfig& config, const NoiseSchedule& schedule);

/// Calls step(k) for k = 0 ... config.steps - 1. It returns losses by name, "loss" first, which are written
/// to folder/metrics.jsonl (unless `folder` is empty) and shown. Throws Error naming the step at which one is
/// not finite.
void train_loop(const std::string& name, const ExtractConfig& config, const std::filesystem::path& folder,
                const std::function<Json(std::int64_t)>& step);

}  // namespace diffreward
