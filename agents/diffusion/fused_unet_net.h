// The Temporal U-Net on a CPU by UnetEngine, as one node of LibTorch's graph. Its results are those of the ATen
// operations in temporal_unet_net.cpp to rounding.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>

#include "agents/diffusion/denoiser_net.h"
#include "agents/diffusion/unet_engine.h"

namespace diffreward {

class FusedUnet {
 public:
  FusedUnet(const UnetShape& shape, const Parameters& parameters);
  ~FusedUnet();

  /// Whether the engine computes this: kernels are on, and x, t and the parameters are dense float or double tensors of
  /// one type on the CPU, of the shapes that forward() takes.
  bool takes(const torch::Tensor& x, const torch::Tensor& t) const;

  /// x: [n, horizon, width], t: [n] int64 -> [n, horizon, width]. Gradients in x and in the parameters; where these must
  /// be differentiable themselves, they are those of `plain`, the same function of (x, t) by ATen.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t,
                        const std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>& plain) const;

 private:
  template <class T>
  struct Side;
  struct Node;

  UnetShape shape_;
  const Parameters& parameters_;
  std::unique_ptr<Side<float>> float_;
  std::unique_ptr<Side<double>> double_;
};

}  // namespace diffreward
