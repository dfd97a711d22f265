#include "agents/imitation/discriminator_torch.h"

namespace diffreward {
namespace {

const std::string kName = "discriminator";

}  // namespace

TransitionDiscriminator::TransitionDiscriminator(std::int64_t width, const std::vector<int>& hidden,
                                                 Seed seed, const torch::Device& device)
    : parameters_(seed, device), layers_(make_layers(parameters_, width, hidden)), optimizer_(parameters_) {}

std::vector<TransitionDiscriminator::Layer> TransitionDiscriminator::make_layers(Parameters& parameters,
                                                                                 std::int64_t width,
                                                                                 std::vector<int> sizes) {
  sizes.push_back(1);
  std::vector<Layer> layers;
  for (const int size : sizes) {
    const std::string name = kName + "." + std::to_string(layers.size());
    layers.push_back({parameters.orthogonal(name + ".weight", size, width, 1),
                      parameters.constant(name + ".bias", {size}, 0)});
    width = size;
  }
  return layers;
}

std::vector<torch::Tensor> TransitionDiscriminator::activations(const torch::Tensor& x) const {
  std::vector<torch::Tensor> out;
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k)
    out.push_back(torch::linear(k == 0 ? x : out.back(), layers_[k].weight, layers_[k].bias).tanh());
  return out;
}

torch::Tensor TransitionDiscriminator::logit(const torch::Tensor& x) const {
  const std::vector<torch::Tensor> hidden = activations(x);
  return torch::linear(hidden.empty() ? x : hidden.back(), layers_.back().weight, layers_.back().bias)
      .squeeze(1);
}

torch::Tensor TransitionDiscriminator::gradient(const torch::Tensor& x) const {
  const std::vector<torch::Tensor> hidden = activations(x);
  torch::Tensor slope = layers_.back().weight.expand({x.size(0), -1});
  for (std::size_t k = hidden.size(); k-- > 0;)
    slope = (slope * (1 - hidden[k].square())).matmul(layers_[k].weight);
  return slope;
}

torch::Tensor TransitionDiscriminator::penalty(const torch::Tensor& x) const {
  return ((gradient(x).square().sum(1) + 1e-12).sqrt() - 1).square().mean();
}

void TransitionDiscriminator::step(double lr) {
  optimizer_.step({.lr = lr, .weight_decay = 0, .gradient_clip = 0}, 0);
}

void TransitionDiscriminator::save(NamedTensors& tensors, Json& progress) const {
  for (const auto& [name, tensor] : optimizer_.state()) tensors[kName + "." + name] = tensor;
  progress["discriminator_steps"] = optimizer_.steps();
}

void TransitionDiscriminator::load(const AgentFile& file) {
  const auto steps =
      file.progress([](const Json& json) { return member<std::int64_t>(json, "discriminator_steps"); });
  optimizer_.restore(file.tensors(), steps, file.path(), kName + ".");
}

torch::Tensor cross_entropy(const torch::Tensor& shown, const torch::Tensor& others) {
  return torch::softplus(-shown).mean() + torch::softplus(others).mean();
}

}  // namespace diffreward
