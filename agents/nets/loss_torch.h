// Losses with their gradients, for nets that are trained without LibTorch's graph of the loss.
#pragma once

#include <torch/torch.h>

namespace diffreward {

/// Mean of weights (output - target)^2, and its gradient with respect to the output.
struct Loss {
  double value;
  torch::Tensor gradient;
};
Loss weighted_square_error(const torch::Tensor& output, const torch::Tensor& target,
                           const torch::Tensor& weights);

/// Adds the gradient of `share` of that mean to what the output was made of, and returns that share.
double add_square_error_gradient(const torch::Tensor& output, const torch::Tensor& target,
                                 const torch::Tensor& weights, double share);

}  // namespace diffreward
