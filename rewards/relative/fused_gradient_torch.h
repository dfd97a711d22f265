// The gradient of a reward net's scalar in its input, on a CPU: without a graph for guidance and reading, or
// as one node of it for gradient matching, where it is differentiable in the parameters.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>

#include "agents/nets/nets_torch.h"
#include "rewards/relative/half_unet_engine.h"
#include "rewards/relative/window_mlp_engine.h"

namespace diffreward {

/// Engine: HalfUnetEngine or WindowMlpEngine.
template <template <class> class Engine>
class FusedGradient {
 public:
  using Shape = typename Engine<float>::Shape;
  /// The same as ATen operations, by which higher derivatives go.
  using Plain = std::function<torch::Tensor(const torch::Tensor& x, const torch::Tensor& features)>;

  FusedGradient(const Shape& shape, const Parameters& parameters);
  ~FusedGradient();

  /// Whether this computes it: kernels are on, and everything is float on the CPU.
  bool takes(const torch::Tensor& x, const torch::Tensor& features) const;
  /// x: [n, rows, channels] as the engine takes them, features: [n, time_features] or, without a graph, [1,
  /// time_features] where all are equal
  /// -> as x. Differentiable in the parameters where gradients are enabled.
  torch::Tensor operator()(const torch::Tensor& x, const torch::Tensor& features, const Plain& plain) const;

 private:
  struct Side;
  struct Node;
  const Parameters& parameters_;
  std::unique_ptr<Side> side_;
};

extern template class FusedGradient<HalfUnetEngine>;
extern template class FusedGradient<WindowMlpEngine>;

}  // namespace diffreward
