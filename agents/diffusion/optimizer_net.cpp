#include "agents/diffusion/optimizer_net.h"

#include <torch/torch.h>

#include <algorithm>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

}  // namespace

Optimizer::Optimizer(Parameters& net, Parameters& average)
    : weights_(net.flatten()),
      average_(average.flatten()),
      gradient_(torch::zeros_like(weights_)),
      m_(torch::zeros_like(weights_)),
      v_(torch::zeros_like(weights_)) {
  std::int64_t begin = 0;
  for (const auto& [name, parameter] : net.named()) {
    torch::Tensor(parameter).mutable_grad() =
        gradient_.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
  }
}

void Optimizer::clear() {
  gradient_.zero_();
}

double Optimizer::gradient_norm() const {
  return gradient_.norm().item<double>();
}

void Optimizer::step(const DiffusionTrainConfig& config, double norm) {
  const torch::NoGradGuard no_grad;
  if (config.gradient_clip > 0 && norm > config.gradient_clip) gradient_.mul_(config.gradient_clip / norm);
  ++steps_;
  const torch::Tensor count =
      torch::full({}, static_cast<double>(steps_), torch::dtype(torch::kFloat).device(weights_.device()));
  at::_fused_adamw_({weights_}, {gradient_}, {m_}, {v_}, {}, {count}, config.lr, kBeta1, kBeta2,
                    config.weight_decay, kEpsilon, /*amsgrad=*/false, /*maximize=*/false);
  torch::autograd::impl::bump_version(weights_);  // which lists of tensors do not do by themselves
  // A young average forgets faster, so that it does not carry the initial weights into short runs.
  const auto age = static_cast<double>(steps_);
  average_.lerp_(weights_, 1 - std::min(config.ema, (1 + age) / (10 + age)));
}

NamedTensors Optimizer::state() const {
  return {{"weights", weights_}, {"ema", average_}, {"adam_m", m_}, {"adam_v", v_}};
}

void Optimizer::restore(const Safetensors& state, std::int64_t steps, const std::filesystem::path& file) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : this->state()) {
    const TensorBytes& found = state.at(name);
    if (found.dtype != "F32" || !tensor.sizes().equals(found.shape))
      throw Error(concat(file.string(), ": tensor '", name, "': expected F32 ", tensor.sizes(), ", found ",
                         found.dtype, " ", at::IntArrayRef(found.shape)));
    tensor.copy_(tensor_from(found, concat(file.string(), ": tensor '", name, "'")));
  }
  steps_ = steps;
}

}  // namespace diffreward
