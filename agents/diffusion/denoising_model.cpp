#include "agents/diffusion/denoising_model.h"

#include <torch/torch.h>

#include "core/error.h"

namespace diffreward {
namespace {

/// values[t] as float, shaped [n, 1, 1].
torch::Tensor gather(const std::vector<double>& values, const torch::Tensor& t) {
  return torch::tensor(values, torch::kDouble)
      .to(t.device())
      .index_select(0, t)
      .to(torch::kFloat)
      .view({-1, 1, 1});
}

}  // namespace

at::Tensor DenoisingModel::posterior_mean(const at::Tensor& x_t, const at::Tensor& t) const {
  const torch::NoGradGuard no_grad;
  return gather(schedule().posterior_x0, t) * predict_x0(x_t, t) + gather(schedule().posterior_xt, t) * x_t;
}

at::Tensor DenoisingModel::score(const at::Tensor& x_t, const at::Tensor& t) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor alpha_bar = gather(schedule().alpha_bar, t);
  return (alpha_bar.sqrt() * predict_x0(x_t, t) - x_t) / (1 - alpha_bar);
}

at::Tensor DenoisingModel::add_noise(const at::Tensor& x_0, const at::Tensor& t,
                                     const at::Tensor& noise) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor alpha_bar = gather(schedule().alpha_bar, t);
  return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise;
}

}  // namespace diffreward
