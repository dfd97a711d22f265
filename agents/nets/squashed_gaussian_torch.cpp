#include "agents/nets/squashed_gaussian_torch.h"

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

SquashedGaussian::Draw SquashedGaussian::draw(const Distribution& distribution, const torch::Tensor& noise) {
  const torch::Tensor u = distribution.mean + distribution.log_std.exp() * noise;
  const double constant = 0.5 * std::log(2 * std::numbers::pi);
  const torch::Tensor density = (noise.square() * -0.5 - distribution.log_std - log_tanh_slope(u)).sum(1) -
                                constant * double(noise.size(1));
  return {u.tanh(), density};
}

}  // namespace diffreward
