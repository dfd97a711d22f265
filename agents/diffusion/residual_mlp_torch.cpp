#include "agents/diffusion/residual_mlp_torch.h"

#include <torch/torch.h>

#include "agents/nets/mish_torch.h"

namespace diffreward {
namespace {

constexpr int kTimeFeatures = 64;

}  // namespace

ResidualMlp::Block::Block(Parameters& parameters, const std::string& name, std::int64_t dim)
    : norm(parameters, name + ".norm", dim),
      first(parameters, name + ".first", dim, dim),
      second(parameters, name + ".second", dim, dim) {}

ResidualMlp::ResidualMlp(const DiffusionConfig& config, const WindowLayout& layout, Parameters initial)
    : DenoiserNet(std::move(initial)),
      time_(parameters, "time", kTimeFeatures, config.dim),
      time_to_blocks_(parameters, "time_to_blocks", config.dim, std::int64_t{config.dim} * config.layers),
      in_(parameters, "in", layout.size(), config.dim),
      blocks_([&] {
        std::vector<Block> blocks;
        for (int i = 0; i < config.layers; ++i)
          blocks.emplace_back(parameters, "blocks." + std::to_string(i), config.dim);
        return blocks;
      }()),
      norm_(parameters, "norm", config.dim),
      out_(parameters, "out", config.dim, layout.size()),
      fused_({.horizon = layout.horizon,
              .width = layout.width(),
              .dim = config.dim,
              .layers = config.layers,
              .time_features = kTimeFeatures},
             parameters) {}

torch::Tensor ResidualMlp::forward(const torch::Tensor& x, const torch::Tensor& t) const {
  const auto plain = [this](const torch::Tensor& x_t, const torch::Tensor& when) {
    return forward_by_aten(x_t, when);
  };
  return fused_.takes(x, t) ? fused_.forward(x, t, plain) : plain(x, t);
}

torch::Tensor ResidualMlp::forward_by_aten(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor embedding =
      fast_mish(time_(sinusoidal_embedding(t, kTimeFeatures).to(time_.weight.scalar_type())));
  const std::vector<torch::Tensor> shifts =
      time_to_blocks_(embedding).chunk(static_cast<std::int64_t>(blocks_.size()), 1);
  torch::Tensor h = in_(x.flatten(1));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    h = h + block.second(fast_mish(block.first(block.norm(h)) + shifts[i]));
  }
  return out_(fast_mish(norm_(h))).view_as(x);
}

}  // namespace diffreward
