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

}  // namespace diffreward
