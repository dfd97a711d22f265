// Mish (Misra 2020), x tanh(softplus(x)), the activation of both nets.
#pragma once

#include <torch/torch.h>

namespace diffreward {

/// torch::mish to rounding, differentiable any number of times, at a third of its price on a CPU: with p =
/// sigmoid(x) and s = 1 - p, tanh(softplus(x)) = p (1 + s) / (1 + s^2), which needs one transcendental
/// function instead of three.
torch::Tensor fast_mish(const torch::Tensor& x);

}  // namespace diffreward
