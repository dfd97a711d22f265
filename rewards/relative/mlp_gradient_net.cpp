#include "rewards/relative/mlp_gradient_net.h"

#include <torch/torch.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "agents/kernels/enabled.h"
#include "agents/parallel.h"

namespace diffreward {
namespace {

using Engine = MlpGradient<float>;
constexpr std::int64_t kPartRows = 256;  // whose activations stay in the cache

std::vector<int> widths(const torch::Tensor& first, const std::vector<Linear>& hidden) {
  std::vector<int> out = {static_cast<int>(first.size(0))};
  for (const Linear& layer : hidden) out.push_back(static_cast<int>(layer.weight.size(0)));
  return out;
}

/// Pointers by layer, from tensors in the order of weights_.
std::vector<Engine::Layer> layers_of(const torch::autograd::variable_list& tensors, const std::vector<int>& bias) {
  std::vector<Engine::Layer> layers;
  auto next = tensors.begin();
  for (const int has_bias : bias) {
    float* const weight = (next++)->data_ptr<float>();
    layers.push_back({weight, has_bias ? (next++)->data_ptr<float>() : nullptr});
  }
  return layers;
}

}  // namespace

struct FusedMlpGradient::Node : torch::autograd::Function<FusedMlpGradient::Node> {
  struct Kept : torch::CustomClassHolder {
    const FusedMlpGradient* net;
    Engine::Weights packed;
    std::vector<Tape> tapes;
    Plain plain;
    ~Kept() override { net->give_back(std::move(tapes)); }
  };

  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& features, const FusedMlpGradient* net, const Plain& plain,
                               at::TensorList weights) {
    torch::autograd::variable_list saved = {x, features};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(std::move(saved));
    auto kept = c10::make_intrusive<Kept>();
    kept->net = net;
    kept->plain = plain;
    torch::Tensor y = torch::empty_like(x);
    kept->packed = net->engine_.pack(layers_of(net->weights_, net->bias_));
    kept->tapes = net->run(x, features, kept->packed, y);
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list above) {
    constexpr std::size_t kFirstWeight = 4;  // forward's arguments before the weights
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto capsule = context->saved_data["kept"].toCapsule();
    auto& kept = static_cast<Kept&>(*capsule);
    const torch::autograd::variable_list weights(saved.begin() + 2, saved.end());
    torch::autograd::variable_list out(kFirstWeight + weights.size());
    if (torch::GradMode::is_enabled()) {  // third derivatives
      const auto gradients = torch::autograd::grad({kept.plain(saved[0], saved[1])}, weights, {above[0]}, true, true, true);
      std::ranges::copy(gradients, out.begin() + kFirstWeight);
      return out;
    }
    const torch::Tensor dy = above[0].contiguous();
    const std::int64_t stride = part_length(dy) * dy.size(1) * dy.size(2);
    // One set of gradients per thread would do; per part is as cheap for nets of this size.
    std::vector<torch::autograd::variable_list> sums(kept.tapes.size());
    parallel_each(kept.tapes.size(), [&](std::size_t p) {
      const torch::NoGradGuard no_grad;
      for (const torch::Tensor& weight : weights) sums[p].push_back(torch::zeros(weight.sizes()));
      kept.net->engine_.backward(kept.packed, dy.const_data_ptr<float>() + std::int64_t(p) * stride,
                                 layers_of(sums[p], kept.net->bias_), *kept.tapes[p]);
    });
    const bool collect = kept.net->parameters_.collects_gradients();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      torch::Tensor total = collect ? weights[i].grad() : torch::zeros(weights[i].sizes());
      for (const auto& part : sums) total.add_(part[i]);
      if (!collect) out[kFirstWeight + i] = total;
    }
    return out;
  }
};

FusedMlpGradient::FusedMlpGradient(const Parameters& parameters, const Linear& features, torch::Tensor first,
                                   const std::vector<Linear>& hidden, torch::Tensor last)
    : parameters_(parameters),
      engine_(static_cast<int>(first.size(1)), static_cast<int>(features.weight.size(1)), widths(first, hidden)) {
  weights_ = {features.weight, features.bias, std::move(first)};
  bias_ = {1, 0};
  for (const Linear& layer : hidden) {
    weights_.insert(weights_.end(), {layer.weight, layer.bias});
    bias_.push_back(1);
  }
  weights_.push_back(std::move(last));
  bias_.push_back(0);
}

bool FusedMlpGradient::takes(const torch::Tensor& x, const torch::Tensor& features) const {
  const auto fits = [](const torch::Tensor& tensor) { return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat; };
  return kernels_enabled() && fits(x) && fits(features) && x.dim() == 3 && features.dim() == 2 &&
         features.size(0) == x.size(0) && x.size(0) > 0 && !x.requires_grad() && !features.requires_grad() &&
         std::ranges::all_of(weights_, [&](const torch::Tensor& weight) { return fits(weight) && weight.is_contiguous(); });
}

std::int64_t FusedMlpGradient::part_length(const torch::Tensor& x) {
  return std::max<std::int64_t>(1, kPartRows / std::max<std::int64_t>(1, x.size(1)));
}

void FusedMlpGradient::give_back(std::vector<Tape> tapes) const {
  const std::lock_guard lock(mutex_);
  std::ranges::move(tapes, std::back_inserter(spare_));
}

std::vector<FusedMlpGradient::Tape> FusedMlpGradient::run(const torch::Tensor& x, const torch::Tensor& features,
                                                          const Engine::Weights& packed, torch::Tensor& y) const {
  const std::int64_t n = x.size(0), width = x.size(1) * x.size(2), length = part_length(x);
  std::vector<Tape> tapes(static_cast<std::size_t>((n + length - 1) / length));
  {
    const std::lock_guard lock(mutex_);
    for (Tape& tape : tapes) {
      if (spare_.empty()) {
        tape = std::make_unique<Engine::Tape>();
      } else {
        tape = std::move(spare_.back());
        spare_.pop_back();
      }
    }
  }
  const float *from = x.const_data_ptr<float>(), *when = features.const_data_ptr<float>();
  float* const to = y.mutable_data_ptr<float>();
  parallel_each(tapes.size(), [&](std::size_t p) {
    const std::int64_t begin = static_cast<std::int64_t>(p) * length, count = std::min(length, n - begin);
    engine_.forward(packed, static_cast<int>(count), static_cast<int>(x.size(1)), from + begin * width,
                    when + begin * features.size(1), to + begin * width, *tapes[p]);
  });
  return tapes;
}

torch::Tensor FusedMlpGradient::operator()(const torch::Tensor& x, const torch::Tensor& features,
                                           const Plain& plain) const {
  const torch::Tensor input = x.contiguous(), when = features.contiguous();
  const bool graph = torch::GradMode::is_enabled() &&
                     std::ranges::any_of(weights_, [](const torch::Tensor& weight) { return weight.requires_grad(); });
  if (graph) return Node::apply(input, when, this, plain, at::TensorList(weights_));
  torch::Tensor y = torch::empty_like(input);
  give_back(run(input, when, engine_.pack(layers_of(weights_, bias_)), y));
  return y;
}

}  // namespace diffreward
