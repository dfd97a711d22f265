#include "agents/ppo/actor_critic_torch.h"

#include <torch/torch.h>

namespace diffreward {
namespace {

/// A matrix [rows, columns] with orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al.
/// 2014).
torch::Tensor orthogonal(std::int64_t rows, std::int64_t columns, double gain, Rng& rng) {
  const std::int64_t longer = std::max(rows, columns), shorter = std::min(rows, columns);
  const torch::Tensor normal = torch::empty({longer, shorter}, torch::kFloat64);
  for (std::int64_t i = 0; i < normal.numel(); ++i) normal.data_ptr<double>()[i] = rng.normal();
  const auto [q, r] = torch::linalg_qr(normal);
  const torch::Tensor basis = q * torch::sign(torch::diagonal(r));  // makes the distribution uniform
  return (rows >= columns ? basis : basis.t()).mul(gain).to(torch::kFloat32);
}

}  // namespace

std::int64_t ActorCritic::count(std::int64_t observation_dim, std::int64_t action_dim,
                                const std::vector<int>& hidden) {
  std::int64_t total = action_dim;
  for (const std::int64_t out : {action_dim, std::int64_t{1}}) {
    std::int64_t in = observation_dim;
    for (const std::int64_t units : hidden) {
      total += (in + 1) * units;
      in = units;
    }
    total += (in + 1) * out;
  }
  return total;
}

ActorCritic::ActorCritic(std::int64_t observation_dim, std::int64_t action_dim,
                         const std::vector<int>& hidden, double log_std, Rng& rng,
                         const torch::Device& device) {
  struct Plan {
    std::vector<Layer>* net;
    torch::Tensor weight;
  };
  std::vector<Plan> plans;
  const auto plan_net = [&](std::vector<Layer>& net, std::int64_t out, double last_gain) {
    std::int64_t in = observation_dim;
    for (const int units : hidden) {
      plans.push_back({&net, orthogonal(units, in, std::numbers::sqrt2, rng)});
      in = units;
    }
    plans.push_back({&net, orthogonal(out, in, last_gain, rng)});
  };
  plan_net(policy_, action_dim, 0.01);
  plan_net(value_, 1, 1.0);

  const std::int64_t total = count(observation_dim, action_dim, hidden);
  weights_ = torch::zeros({total});
  gradient_ = torch::zeros({total}, device);

  // Leaves that are views into the flat buffers: autograd accumulates into a gradient that is already there.
  std::int64_t offset = 0;
  weights_ = weights_.to(device);
  const auto take = [&](at::IntArrayRef shape) {
    const std::int64_t size = c10::multiply_integers(shape);
    torch::Tensor leaf = weights_.narrow(0, offset, size).view(shape).detach().requires_grad_();
    leaf.mutable_grad() = gradient_.narrow(0, offset, size).view(shape);
    offset += size;
    return leaf;
  };
  torch::NoGradGuard no_grad;
  for (const Plan& plan : plans) {
    Layer layer{take(plan.weight.sizes()), take({plan.weight.size(0)})};
    layer.weight.copy_(plan.weight);
    plan.net->push_back(layer);
  }
  log_std_ = take({action_dim});
  log_std_.fill_(log_std);

  adam_mean_ = torch::zeros_like(weights_);
  adam_square_ = torch::zeros_like(weights_);
  adam_step_ = torch::zeros({}, device);
}

torch::Tensor ActorCritic::forward(const std::vector<Layer>& net, const torch::Tensor& observation) {
  torch::Tensor x = observation;
  for (std::size_t i = 0; i + 1 < net.size(); ++i)
    x = torch::tanh(torch::linear(x, net[i].weight, net[i].bias));
  return torch::linear(x, net.back().weight, net.back().bias);
}

void ActorCritic::step(double lr, double largest_norm) {
  torch::NoGradGuard no_grad;
  if (largest_norm > 0) gradient_.mul_(torch::clamp_max(largest_norm / (gradient_.norm() + 1e-6), 1.0));
  std::vector<torch::Tensor> weights{weights_}, gradient{gradient_}, mean{adam_mean_}, square{adam_square_},
      step{adam_step_};
  adam_step_.add_(1);
  at::_fused_adam_(weights, gradient, mean, square, {}, step, lr, 0.9, 0.999, 0.0, 1e-5, false, false);
}

std::map<std::string, torch::Tensor> ActorCritic::tensors() const {
  std::map<std::string, torch::Tensor> named{{"log_std", log_std_.detach()},
                                             {"adam.mean", adam_mean_},
                                             {"adam.square", adam_square_},
                                             {"adam.step", adam_step_}};
  const auto add = [&](const std::string& prefix, const std::vector<Layer>& net) {
    for (std::size_t i = 0; i < net.size(); ++i) {
      named[prefix + std::to_string(i) + ".weight"] = net[i].weight.detach();
      named[prefix + std::to_string(i) + ".bias"] = net[i].bias.detach();
    }
  };
  add("policy.", policy_);
  add("value.", value_);
  return named;
}

}  // namespace diffreward
