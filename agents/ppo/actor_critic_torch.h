// PPO's two nets: tanh MLPs for the mean of a Gaussian policy and for the value, and their Adam optimiser.
// Includes torch: private to .cpp files.
//
// All weights lie in one flat buffer, all gradients in another, so that clipping and the Adam step are each
// one kernel rather than one per layer: nets this small are bound by the number of kernels, not by
// arithmetic.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/rng.h"

namespace diffreward {

class ActorCritic {
 public:
  /// Orthogonal weights with gain sqrt(2), 0.01 for the policy's last layer and 1 for the value's; biases 0.
  ActorCritic(std::int64_t observation_dim, std::int64_t action_dim, const std::vector<int>& hidden,
              double log_std, Rng& rng, const torch::Device& device);

  /// Weights of both nets and log_std, without making them.
  static std::int64_t count(std::int64_t observation_dim, std::int64_t action_dim,
                            const std::vector<int>& hidden);

  /// Mean action, [n, action_dim], of normalised observations [n, observation_dim].
  torch::Tensor mean(const torch::Tensor& observation) const { return forward(policy_, observation); }
  /// State value, [n].
  torch::Tensor value(const torch::Tensor& observation) const {
    return forward(value_, observation).squeeze(1);
  }
  const torch::Tensor& log_std() const { return log_std_; }  // [action_dim]

  void zero_grad() { gradient_.zero_(); }
  /// Scales the gradient to at most this norm (0: leaves it), then one step of Adam.
  void step(double lr, double largest_norm);

  /// Weights by name ("policy.0.weight", ..., "log_std") and Adam's state ("adam.mean", "adam.square",
  /// "adam.step").
  std::map<std::string, torch::Tensor> tensors() const;

 private:
  struct Layer {
    torch::Tensor weight, bias;  // [out, in], [out]
  };
  static torch::Tensor forward(const std::vector<Layer>& net, const torch::Tensor& observation);

  std::vector<Layer> policy_, value_;
  torch::Tensor log_std_;
  torch::Tensor weights_, gradient_;                   // [parameters]
  torch::Tensor adam_mean_, adam_square_, adam_step_;  // [parameters], [parameters], []
};

/// log N(action; mean, exp(log_std)^2) summed over the action's dimensions: [n].
inline torch::Tensor log_probability(const torch::Tensor& action, const torch::Tensor& mean,
                                     const torch::Tensor& log_std) {
  const double constant = 0.5 * std::log(2 * std::numbers::pi) * static_cast<double>(action.size(1));
  return ((action - mean) * torch::exp(-log_std)).square().sum(1) * -0.5 - (log_std.sum() + constant);
}

}  // namespace diffreward
