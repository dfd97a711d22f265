#include "agents/nets/optimizer_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "agents/kernels/kernels.h"
#include "agents/nets/undivided.h"
#include "agents/parallel.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
constexpr std::size_t kPiece = 1 << 16;  // numbers that a thread takes at a time

}  // namespace

double scheduled_rate(double first, std::string_view schedule, double progress) {
  if (schedule == "linear") return first * (1 - progress);
  if (schedule == "cosine") return first * (1 + std::cos(std::numbers::pi * progress)) / 2;
  require(schedule == "constant", "lr_schedule: expected constant, linear or cosine, got ", schedule);
  return first;
}

Optimizer::Optimizer(Parameters& net, Parameters* average)
    : weights_(net.flatten()),
      average_(average != nullptr ? average->flatten() : torch::Tensor()),
      gradient_(net.collect_gradients()),
      m_(torch::zeros_like(weights_)),
      v_(torch::zeros_like(weights_)) {}

double Optimizer::gradient_norm() const {
  double norm = 0;
  undivided([&] { norm = gradient_.norm().item<double>(); });
  return norm;
}

void Optimizer::step(const OptimizerSettings& settings, double norm) {
  const torch::NoGradGuard no_grad;
  const double scale =
      settings.gradient_clip > 0 && norm > settings.gradient_clip ? settings.gradient_clip / norm : 1;
  ++steps_;
  const auto age = static_cast<double>(steps_);
  const double fresh =
      1 - (settings.young_ema ? std::min(settings.ema, (1 + age) / (10 + age)) : settings.ema);
  if (weights_.is_cpu()) {
    const kernels::AdamStep step{.lr = settings.lr,
                                 .beta1 = kBeta1,
                                 .beta2 = kBeta2,
                                 .epsilon = settings.epsilon,
                                 .weight_decay = settings.weight_decay,
                                 .correction1 = 1 - std::pow(kBeta1, age),
                                 .correction2 = 1 - std::pow(kBeta2, age),
                                 .gradient_scale = scale,
                                 .average_weight = fresh};
    const auto count = static_cast<std::size_t>(weights_.numel());
    parallel_each((count + kPiece - 1) / kPiece, [&](std::size_t piece) {
      const std::size_t begin = piece * kPiece;
      const auto at = [&](const torch::Tensor& tensor) {
        return tensor.defined() ? tensor.data_ptr<float>() + begin : nullptr;
      };
      kernels::kernels<float>().adam(std::min(kPiece, count - begin), step, at(weights_), at(gradient_),
                                     at(m_), at(v_), at(average_));
    });
    for (const torch::Tensor& changed : {weights_, average_})
      if (changed.defined()) torch::autograd::impl::bump_version(changed);
    return;
  }
  if (scale != 1) gradient_.mul_(scale);
  const torch::Tensor count =
      torch::full({}, static_cast<double>(steps_), torch::dtype(torch::kFloat).device(weights_.device()));
  at::_fused_adamw_({weights_}, {gradient_}, {m_}, {v_}, {}, {count}, settings.lr, kBeta1, kBeta2,
                    settings.weight_decay, settings.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  if (average_.defined()) average_.lerp_(weights_, fresh);
  gradient_.zero_();
}

NamedTensors Optimizer::state() const {
  NamedTensors tensors{{"weights", weights_}, {"adam_m", m_}, {"adam_v", v_}};
  if (average_.defined()) tensors["ema"] = average_;
  return tensors;
}

void Optimizer::restore(const Safetensors& state, std::int64_t steps, const std::filesystem::path& file,
                        const std::string& prefix) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : this->state()) {
    const TensorBytes& found = state.at(prefix + name);
    if (found.dtype != "F32" || !tensor.sizes().equals(found.shape))
      throw Error(concat(file.string(), ": tensor '", prefix, name, "': expected F32 ", tensor.sizes(),
                         ", found ", found.dtype, " ", at::IntArrayRef(found.shape)));
    tensor.copy_(tensor_from(found, concat(file.string(), ": tensor '", prefix, name, "'")));
  }
  steps_ = steps;
}

}  // namespace diffreward
