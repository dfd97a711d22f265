#include "agents/nets/squashed_gaussian_torch.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace diffreward {

torch::Tensor log_tanh_slope(const torch::Tensor& u) {
  return 2 * (std::numbers::ln2 - u - torch::softplus(-2 * u));
}

SquashedGaussian::SquashedGaussian(Parameters& parameters, const std::string& name,
                                   std::int64_t observation_dim, std::int64_t action_dim,
                                   const std::vector<int>& hidden)
    : mlp_(parameters, name, {int(observation_dim), hidden, 2 * int(action_dim)}), action_dim_(action_dim) {}

SquashedGaussian::Distribution SquashedGaussian::operator()(const torch::Tensor& observation) const {
  const torch::Tensor out = mlp_(observation)[0];
  return {out.narrow(1, 0, action_dim_), out.narrow(1, action_dim_, action_dim_).clamp(-20, 2)};
}

SquashedGaussian::Distribution SquashedGaussian::each_row(const torch::Tensor& observation) const {
  const torch::Tensor out = mlp_.each_row(observation)[0];
  return {out.narrow(1, 0, action_dim_), out.narrow(1, action_dim_, action_dim_).clamp(-20, 2)};
}

double draw_squashed(std::span<float> mean, std::span<const float> log_std, Rng* rng) {
  double density = 0;
  for (std::size_t j = 0; j < mean.size(); ++j) {
    double u = double{mean[j]};
    if (rng != nullptr) {
      const double noise = double{static_cast<float>(rng->normal())}, log_deviation = double{log_std[j]};
      u += std::exp(log_deviation) * noise;
      // 2 (ln 2 - u - softplus(-2 u)), the logarithm of tanh's slope
      const double softplus = std::max(-2 * u, 0.0) + std::log1p(std::exp(-std::abs(2 * u)));
      density -= 0.5 * noise * noise + log_deviation + 2 * (std::numbers::ln2 - u - softplus) +
                 0.5 * std::log(2 * std::numbers::pi);
    }
    mean[j] = static_cast<float>(std::tanh(u));
  }
  return density;
}

SquashedGaussian::Draw SquashedGaussian::draw(const Distribution& distribution, const torch::Tensor& noise) {
  const torch::Tensor u = distribution.mean + distribution.log_std.exp() * noise;
  const double constant = 0.5 * std::log(2 * std::numbers::pi);
  const torch::Tensor density = (noise.square() * -0.5 - distribution.log_std - log_tanh_slope(u)).sum(1) -
                                constant * double(noise.size(1));
  return {u.tanh(), density};
}

}  // namespace diffreward
