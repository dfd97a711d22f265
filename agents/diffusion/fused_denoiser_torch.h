// A denoiser on a CPU by an engine over agents/kernels, as one node of LibTorch's graph. Its results are
// those of the net's ATen operations to rounding.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>

#include "agents/diffusion/denoiser_torch.h"
#include "agents/diffusion/residual_mlp_engine.h"
#include "agents/diffusion/unet_engine.h"

namespace diffreward {

/// Engine: UnetEngine or ResidualMlpEngine.
template <template <class> class Engine>
class FusedDenoiser {
 public:
  using Shape = typename Engine<float>::Shape;
  /// The same function of (x, t) as ATen operations.
  using Plain = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;

  FusedDenoiser(const Shape& shape, const Parameters& parameters);
  ~FusedDenoiser();

  /// Whether the engine computes this: kernels are on, and x, t and the parameters are dense float or double
  /// tensors of one type on the CPU, of the shapes that forward() takes.
  bool takes(const torch::Tensor& x, const torch::Tensor& t) const;

  /// x: [n, horizon, width], t: [n] int64 -> [n, horizon, width]. Gradients in x and in the parameters; where
  /// these must be differentiable themselves, they are those of `plain`.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t, const Plain& plain) const;

 private:
  template <class T>
  struct Side;
  struct Node;

  Shape shape_;
  const Parameters& parameters_;
  std::unique_ptr<Side<float>> float_;
  std::unique_ptr<Side<double>> double_;
};

extern template class FusedDenoiser<UnetEngine>;
extern template class FusedDenoiser<ResidualMlpEngine>;

}  // namespace diffreward
