// The policy pi(a|s) of a = tanh(u), u ~ N(mean(s), std(s)^2), for actions in (-1, 1)^dim.
#pragma once

#include <torch/torch.h>

#include <span>
#include <string>
#include <vector>

#include "agents/nets/mlp_torch.h"
#include "core/rng.h"

namespace diffreward {

/// log(1 - tanh(u)^2), exact also where tanh(u) rounds to 1: 2 (log 2 - u - softplus(-2 u)).
torch::Tensor log_tanh_slope(const torch::Tensor& u);

class SquashedGaussian {
 public:
  /// An MLP with layers named `name`.0, `name`.1, ...
  SquashedGaussian(Parameters& parameters, const std::string& name, std::int64_t observation_dim,
                   std::int64_t action_dim, const std::vector<int>& hidden);

  struct Distribution {
    torch::Tensor mean, log_std;  // [n, action_dim], of u; the latter clamped to [-20, 2]
  };
  Distribution operator()(const torch::Tensor& observation) const;
  /// The same by Mlp::each_row: for acting.
  Distribution each_row(const torch::Tensor& observation) const;

  struct Draw {
    torch::Tensor action;           // [n, action_dim]
    torch::Tensor log_probability;  // [n], nats
  };
  /// The action mean + std `noise`, squashed; differentiable in both. noise: [n, action_dim] standard normals.
  static Draw draw(const Distribution& distribution, const torch::Tensor& noise);

 private:
  Mlp mlp_;
  std::int64_t action_dim_;
};

/// One action in place of its mean [action_dim]: the mode, or a draw from `rng` with its log density in nats. Number by number,
/// so that it is the same wherever in a batch the row stands, which vectorised functions do not promise.
double draw_squashed(std::span<float> mean, std::span<const float> log_std, Rng* rng);

}  // namespace diffreward
