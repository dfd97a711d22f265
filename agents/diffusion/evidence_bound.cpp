#include "agents/diffusion/evidence_bound.h"

#include <torch/torch.h>

#include <cmath>

#include "agents/nets/noise_torch.h"

namespace diffreward {

EvidenceBound::EvidenceBound(const WindowModel& model, std::uint64_t seed) : model_(model), seed_(seed) {}

at::Tensor EvidenceBound::value(const at::Tensor& x, const at::Tensor& /*t*/) const {
  const NoiseSchedule& schedule = model_.schedule();
  const WindowLayout& layout = model_.layout();
  const auto given = [&](const torch::Tensor& of) {
    return of.select(1, 0).narrow(1, layout.action_dim, layout.observation_dim);
  };
  torch::Tensor bound = torch::zeros({x.size(0)}, x.options());
  for (int t = 0; t < schedule.timesteps; ++t) {
    const auto level = static_cast<std::size_t>(t);
    const double weight = t > 0 ? schedule.posterior_x0[level] * schedule.posterior_x0[level] /
                                      (2 * schedule.posterior_variance[level])
                                : 1 / (2 * schedule.beta[0]);
    Rng rng(Streams(Purpose::kLikelihood, seed_)[level]);
    const torch::Tensor when = torch::full({x.size(0)}, t, torch::dtype(torch::kLong).device(x.device()));
    const torch::Tensor noise = normal({&rng, 1}, {1, x.size(1), x.size(2)}).to(x.device());
    torch::Tensor noised = model_.add_noise(x, when, noise.expand_as(x));
    given(noised).copy_(given(x));
    torch::Tensor error = x - model_.predict_x0(noised, when);
    given(error).zero_();
    bound = bound - weight * error.square().sum({1, 2});
  }
  return bound;
}

}  // namespace diffreward
