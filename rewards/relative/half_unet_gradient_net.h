// HalfUnet's gradient in the input, on a CPU, without a graph.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "agents/diffusion/denoiser_net.h"
#include "rewards/relative/half_unet_engine.h"

namespace diffreward {

class FusedHalfUnetGradient {
 public:
  FusedHalfUnetGradient(const HalfUnetShape& shape, const Parameters& parameters);
  ~FusedHalfUnetGradient();

  /// Whether this computes it: kernels are on, everything is float on the CPU, and no graph is wanted.
  bool takes(const torch::Tensor& x, const torch::Tensor& t) const;
  /// x: [n, rows, channels], features: [n, time_features] or [1, time_features] where all are equal -> as x.
  torch::Tensor operator()(const torch::Tensor& x, const torch::Tensor& features) const;

 private:
  struct Side;
  const Parameters& parameters_;
  std::unique_ptr<Side> side_;
};

}  // namespace diffreward
