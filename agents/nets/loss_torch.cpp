#include "agents/nets/loss_torch.h"

#include "agents/nets/undivided.h"

namespace diffreward {

Loss weighted_square_error(const torch::Tensor& output, const torch::Tensor& target,
                           const torch::Tensor& weights) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor residual = output - target;
  const torch::Tensor gradient = residual * weights * (2.0 / static_cast<double>(residual.numel()));
  double value = 0;
  undivided([&] { value = 0.5 * gradient.flatten().dot(residual.flatten()).item<double>(); });
  return {value, gradient};
}

double add_square_error_gradient(const torch::Tensor& output, const torch::Tensor& target,
                                 const torch::Tensor& weights, double share) {
  const Loss loss = weighted_square_error(output, target, weights);
  torch::autograd::backward({output}, {share == 1 ? loss.gradient : loss.gradient * share});
  return share * loss.value;
}

}  // namespace diffreward
