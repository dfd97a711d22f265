// MlpGradient as one node of LibTorch's graph.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "agents/diffusion/denoiser_net.h"
#include "rewards/relative/mlp_gradient.h"

namespace diffreward {

class FusedMlpGradient {
 public:
  /// The layer that makes the features' shift, the first weight, the hidden layers with biases, the scalar's weight.
  FusedMlpGradient(const Parameters& parameters, const Linear& features, torch::Tensor first,
                   const std::vector<Linear>& hidden, torch::Tensor last);

  /// Whether this computes it: kernels are on, everything is float on the CPU, and x needs no gradient.
  bool takes(const torch::Tensor& x, const torch::Tensor& features) const;
  /// x: [n, rows, in], features: [n, size] -> d m / d x, as x. Gradients in the weights; where these must be
  /// differentiable themselves, they are those of `plain`, the same function by ATen.
  using Plain = std::function<torch::Tensor(const torch::Tensor& x, const torch::Tensor& features)>;
  torch::Tensor operator()(const torch::Tensor& x, const torch::Tensor& features, const Plain& plain) const;

 private:
  struct Node;
  using Tape = std::unique_ptr<MlpGradient<float>::Tape>;
  /// Tapes of the batch's parts, each of part_length() samples but the last.
  std::vector<Tape> run(const torch::Tensor& x, const torch::Tensor& features, const MlpGradient<float>::Weights& packed,
                        torch::Tensor& y) const;
  static std::int64_t part_length(const torch::Tensor& x);
  void give_back(std::vector<Tape> tapes) const;

  const Parameters& parameters_;
  torch::autograd::variable_list weights_;  // layer by layer, weight and bias where there is one
  std::vector<int> bias_;                   // by layer: whether there is one
  MlpGradient<float> engine_;
  mutable std::mutex mutex_;
  mutable std::vector<Tape> spare_;  // under the mutex
};

}  // namespace diffreward
