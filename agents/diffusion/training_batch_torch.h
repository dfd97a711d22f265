// Training batches: windows of chosen episodes, normalised, noised, and with their loss weights.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/nets/batch_parts_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "datasets/windows.h"

namespace diffreward {

/// How the optimiser is told what a training's config says of a step.
inline OptimizerSettings optimizer_settings(const DiffusionTrainConfig& config, std::int64_t step) {
  const double progress = static_cast<double>(step) / static_cast<double>(config.steps);
  return {.lr = scheduled_rate(config.lr, config.lr_schedule, progress),
          .weight_decay = config.weight_decay,
          .ema = config.ema,
          .gradient_clip = config.gradient_clip};
}

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

/// Adds the gradient of a part's share of the batch's mean loss to the net's parameters and returns that share.
double add_loss_gradient(const DenoiserNet& net, const Batch& batch, const BatchPart& part);

}  // namespace diffreward
