#include "agents/diffusion/noise_levels_torch.h"

#include <cmath>
#include <vector>

namespace diffreward {

torch::Tensor at_timesteps(const torch::Tensor& factors, const torch::Tensor& t, std::int64_t dims) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dims), 1);
  shape[0] = -1;
  return factors.index_select(0, t).view(shape);
}

NoiseLevels::NoiseLevels(const NoiseSchedule& schedule, const torch::Device& device) {
  std::vector<double> signals, noises;
  for (const double a : schedule.alpha_bar) {
    signals.push_back(std::sqrt(a));
    noises.push_back(std::sqrt(1 - a));
  }
  signal = torch::tensor(signals, torch::kDouble).to(torch::kFloat).to(device);
  noise = torch::tensor(noises, torch::kDouble).to(torch::kFloat).to(device);
}

torch::Tensor NoiseLevels::add_noise(const torch::Tensor& x_0, const torch::Tensor& t,
                                     const torch::Tensor& with) const {
  const torch::NoGradGuard no_grad;
  return at_timesteps(signal, t, x_0.dim()) * x_0 + at_timesteps(noise, t, x_0.dim()) * with;
}

}  // namespace diffreward
