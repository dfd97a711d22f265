// The heart of extraction, whatever a sample is: a scalar net whose gradient is matched to the difference of two
// diffusion models' posterior means on noised samples (docs/design/0002-training-rho.md).
//
// The two models are asked in pools of many samples, of which each training step takes a part; their two forward
// passes are most of the work. Beside rho an unconstrained vector net of the same trunk learns the same targets
// from the same batches: how much of the field it explains is the ceiling that rho is reported against.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "agents/diffusion/denoising_model.h"
#include "rewards/relative/noised_samples_torch.h"
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
};

class GradientMatching {
 public:
  /// Everything must live as long. Throws InvalidArgument where the models differ in their schedules.
  GradientMatching(const DenoisingModel& expert, const DenoisingModel& base, const SampleSource& source,
                   const ExtractConfig& config, MatchedNets nets);

  /// Measures s_t and trains. With `folder` metrics.jsonl is written there. Throws Error naming the timestep or
  /// the step at which a number was not finite.
  void run(const std::filesystem::path& folder);

  /// s_t, [timesteps]; of run().
  const std::vector<double>& difference_rms() const { return difference_rms_; }
  /// How much of the field on held-out samples rho and its rival explain, over t.
  std::vector<FieldReport> report() const;

 private:
  /// The difference field at some points.
  struct Field {
    torch::Tensor x;           // [n, ...]  where the gradient is matched
    torch::Tensor t;           // [n]
    torch::Tensor difference;  // [n, ...]  mu_expert - mu_base; 0 in what is given
    torch::Tensor drawn;       // [n, ...]  NoisedBatch's
    /// `values`, 0 in what is given.
    torch::Tensor of_drawn(const torch::Tensor& values) const {
      return drawn.defined() ? values * drawn : values;
    }
  };
  Field field_at(const NoisedBatch& batch) const;
  void measure_scales();
  double measure_rms(int t) const;
  void train(const std::filesystem::path& folder);
  void stretch_untrained();

  const DenoisingModel &expert_, &base_;
  const ExtractConfig& config_;
  MatchedNets nets_;
  NoisedSamples noised_;
  torch::Device device_;
  std::unique_ptr<RewardNet> ceiling_;
  std::vector<double> difference_rms_;  // [timesteps]
  torch::Tensor units_;                 // [timesteps]
};

}  // namespace diffreward
