// Training batches: windows of chosen episodes, normalised, noised, and with their loss weights.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "agents/diffusion/diffusion_model_net.h"
#include "datasets/windows.h"

namespace diffreward {

/// The windows of some episodes of a sampler; no data is copied.
class EpisodeWindows {
 public:
  EpisodeWindows(const WindowSampler& windows, const std::vector<std::size_t>& episodes);
  std::size_t count() const { return first_.back(); }
  /// Index (in the sampler) of a window drawn uniformly; count() must not be 0.
  std::size_t draw(Rng& rng) const;

 private:
  std::vector<std::size_t> begin_;        // index of each episode's first window
  std::vector<std::size_t> first_ = {0};  // windows in the episodes before it; the last entry is the total
};

struct Batch {
  torch::Tensor x_t, t, target;  // [n, horizon, width], [n] int64, [n, horizon, width]
  torch::Tensor weights;         // [n or 1, horizon, width] loss weights
};

class BatchMaker {
 public:
  BatchMaker(const DiffusionModel::Impl& model, const WindowSampler& windows,
             const DiffusionTrainConfig& config);
  /// The batch of a seed: a pure function of it, so a resumed run needs no generator state, and drawn on the
  /// CPU, so it is the same on every device.
  Batch make(const EpisodeWindows& from, int size, Seed seed);

 private:
  const DiffusionModel::Impl& model_;
  const WindowSampler& windows_;
  const DiffusionTrainConfig& config_;
  torch::Tensor weights_;  // [1, horizon, width]
  std::vector<float> rows_;
};

/// Mean of weights (output - target)^2, and its gradient with respect to the output.
struct Loss {
  double value;
  torch::Tensor gradient;
};
Loss weighted_square_error(const torch::Tensor& output, const torch::Tensor& target,
                           const torch::Tensor& weights);

/// Adds the gradient of a batch's mean loss to the net's parameters and returns that loss. The batch goes
/// through the net in `passes` parts (at most its windows), of which one at a time keeps its activations: the
/// same gradient but for rounding.
double add_loss_gradient(const DenoiserNet& net, const Batch& batch, int passes);

}  // namespace diffreward
