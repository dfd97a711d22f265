// PPO's two nets: tanh MLPs for the mean of a Gaussian policy and for the value. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "agents/nets/mlp_torch.h"

namespace diffreward {

struct ActorCritic {
  /// Orthogonal weights with gain sqrt(2), 0.01 for the policy's last layer and 1 for the value's; biases 0.
  ActorCritic(int observation_dim, int action_dim, const std::vector<int>& hidden, double first_log_std,
              Parameters of)
      : parameters(std::move(of)),
        policy(parameters, "policy",
               {observation_dim, hidden, action_dim, false, MlpShape::Activation::kTanh, 0.01}),
        critic(parameters, "value", {observation_dim, hidden, 1, false, MlpShape::Activation::kTanh, 1}),
        log_std(parameters.constant("log_std", {action_dim}, first_log_std)) {
    parameters.finish();
  }

  /// Mean action, [n, action_dim], of normalised observations [n, observation_dim].
  torch::Tensor mean(const torch::Tensor& observation) const { return policy(observation)[0]; }
  /// The same by Mlp::each_row: for acting.
  torch::Tensor mean_of_each(const torch::Tensor& observation) const {
    return policy.each_row(observation)[0];
  }
  /// State value, [n].
  torch::Tensor value(const torch::Tensor& observation) const { return critic(observation).view({-1}); }

  Parameters parameters;
  Mlp policy, critic;
  torch::Tensor log_std;  // [action_dim]
};

/// log N(action; mean, exp(log_std)^2) summed over the action's dimensions: [n].
inline torch::Tensor log_probability(const torch::Tensor& action, const torch::Tensor& mean,
                                     const torch::Tensor& log_std) {
  const double constant = 0.5 * std::log(2 * std::numbers::pi) * static_cast<double>(action.size(1));
  return ((action - mean) * torch::exp(-log_std)).square().sum(1) * -0.5 - (log_std.sum() + constant);
}

}  // namespace diffreward
