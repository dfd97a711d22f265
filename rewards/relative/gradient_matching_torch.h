// The heart of extraction, whatever a sample is: a scalar net whose gradient is matched to the difference of two
// diffusion models' posterior means (difference_field_torch.h, docs/design/0002-training-rho.md).
//
// Points of the field come in pools of many, of which each training step takes a part; of models, their two forward passes
// are most of the work. Beside rho an unconstrained vector net of the same trunk learns the same targets
// from the same batches: how much of the field it explains is the ceiling that rho is reported against.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "rewards/relative/difference_field_torch.h"
#include "rewards/relative/relative_reward.h"
#include "rewards/relative/reward_net_torch.h"

namespace diffreward {

/// Nets of one trunk, and what of a sample they read.
struct MatchedNets {
  /// With fresh weights; units: [timesteps] s_t, what a gradient of 1 stands for.
  std::function<std::unique_ptr<RewardNet>(Head, std::span<const double> units)> make;
  bool rival =
      true;  // whether a vector net of the trunk learns beside; one that is the field itself explains all of it
  std::function<torch::Tensor(const torch::Tensor&)> select;  // [n, ...] to what the nets read
  RewardNet* rho;                                             // ends up with the averaged weights
  torch::Tensor weights = {};  // [1, ...] of what the nets read in the loss, mean 1; undefined: 1
  Ranks* ranks = nullptr;  // the processes that train together, each a part of every batch; null: this one
};

class GradientMatching {
 public:
  /// Field and config must live as long.
  GradientMatching(const DifferenceField& field, const ExtractConfig& config, MatchedNets nets);

  /// Measures s_t and trains. With `folder` metrics.jsonl is written there. Throws Error naming the timestep or
  /// the step at which a number was not finite.
  void run(const std::filesystem::path& folder);

  /// s_t, [timesteps]; of run().
  const std::vector<double>& difference_rms() const { return difference_rms_; }
  /// How much of the field on held-out samples rho and its rival explain, over t.
  std::vector<FieldReport> report() const;

 private:
  void measure_scales();
  double measure_rms(int t) const;
  void train(const std::filesystem::path& folder);
  void stretch_untrained();

  const DifferenceField& field_;
  const ExtractConfig& config_;
  MatchedNets nets_;
  torch::Device device_;
  std::unique_ptr<RewardNet> ceiling_;
  std::vector<double> difference_rms_;  // [timesteps]
  torch::Tensor units_;                 // [timesteps]
};

}  // namespace diffreward
