#include "agents/diffusion/denoising_model.h"

#include <torch/torch.h>

#include "agents/diffusion/noise_levels_torch.h"

namespace diffreward {
namespace {

/// values[t] as float, to be multiplied with x.
torch::Tensor gather(const std::vector<double>& values, const torch::Tensor& t, const torch::Tensor& x) {
  return at_timesteps(torch::tensor(values, torch::kDouble).to(torch::kFloat).to(x.device()), t, x.dim());
}

}  // namespace

at::Tensor DenoisingModel::posterior_mean(const at::Tensor& x_t, const at::Tensor& t) const {
  const torch::NoGradGuard no_grad;
  return gather(schedule().posterior_x0, t, x_t) * predict_x0(x_t, t) +
         gather(schedule().posterior_xt, t, x_t) * x_t;
}

at::Tensor DenoisingModel::score(const at::Tensor& x_t, const at::Tensor& t) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor alpha_bar = gather(schedule().alpha_bar, t, x_t);
  return (alpha_bar.sqrt() * predict_x0(x_t, t) - x_t) / (1 - alpha_bar);
}

at::Tensor DenoisingModel::add_noise(const at::Tensor& x_0, const at::Tensor& t,
                                     const at::Tensor& noise) const {
  return NoiseLevels(schedule(), x_0.device()).add_noise(x_0, t, noise);
}

}  // namespace diffreward
