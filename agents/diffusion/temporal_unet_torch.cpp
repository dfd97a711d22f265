#include "agents/diffusion/temporal_unet_torch.h"

#include <torch/torch.h>

#include <cmath>

#include "agents/nets/mish_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kKernel = 5, kGroups = 8;
constexpr int kHeads = 4, kHeadChannels = 32;
constexpr double kEpsilon = 1e-5;  // of both normalisations

/// The checked settings; runs before any parameter is made.
const DiffusionConfig& checked(const DiffusionConfig& config, const WindowLayout& layout) {
  const std::size_t levels = config.dim_mults.size();
  require(levels >= 1 && levels <= 12, "dim_mults: expected 1 to 12 levels, got ", levels);
  const int multiple = 1 << (levels - 1);
  require(layout.horizon % multiple == 0, "horizon: expected a multiple of ", multiple, " for a U-Net of ",
          levels, " levels, got ", layout.horizon);
  require(config.dim % kGroups == 0, "dim: expected a multiple of ", kGroups, " for a U-Net, got ",
          config.dim);
  return config;
}

std::optional<LinearAttention> make_attention(bool wanted, Parameters& parameters, const std::string& name,
                                              int channels) {
  if (!wanted) return std::nullopt;
  return LinearAttention(parameters, name, channels);
}

}  // namespace

Conv1d::Conv1d(Parameters& parameters, const std::string& name, int in, int out, int kernel, int stride_,
               int padding_, bool with_bias)
    : weight(parameters.uniform(name + ".weight", {out, in, kernel}, std::int64_t{in} * kernel)),
      bias(with_bias ? parameters.uniform(name + ".bias", {out}, std::int64_t{in} * kernel)
                     : torch::Tensor()),
      stride(stride_),
      padding(padding_) {}

ConvBlock::ConvBlock(Parameters& parameters, const std::string& name, int in, int out)
    : conv(parameters, name + ".block.0", in, out, kKernel, 1, kKernel / 2),
      norm_weight(parameters.constant(name + ".block.2.weight", {out}, 1)),
      norm_bias(parameters.constant(name + ".block.2.bias", {out}, 0)) {}

torch::Tensor ConvBlock::operator()(const torch::Tensor& x) const {
  return fast_mish(torch::group_norm(conv(x), kGroups, norm_weight, norm_bias, kEpsilon));
}

TemporalBlock::TemporalBlock(Parameters& parameters, const std::string& name, int in, int out, int time_dim)
    : first(parameters, name + ".blocks.0", in, out),
      second(parameters, name + ".blocks.1", out, out),
      time(parameters, name + ".time_mlp.1", time_dim, out) {
  if (in != out) shortcut.emplace(parameters, name + ".residual_conv", in, out, 1);
}

torch::Tensor TemporalBlock::operator()(const torch::Tensor& x, const torch::Tensor& activated_time) const {
  const torch::Tensor shifted = first(x) + time(activated_time).unsqueeze(2);
  return second(shifted) + (shortcut ? (*shortcut)(x) : x);
}

LinearAttention::LinearAttention(Parameters& parameters, const std::string& name, int channels)
    : to_qkv(parameters, name + ".fn.fn.to_qkv", channels, 3 * kHeads * kHeadChannels, 1, 1, 0, false),
      to_out(parameters, name + ".fn.fn.to_out", kHeads * kHeadChannels, channels, 1),
      gain(parameters.constant(name + ".fn.norm.g", {1, channels, 1}, 1)),
      bias(parameters.constant(name + ".fn.norm.b", {1, channels, 1}, 0)) {}

torch::Tensor LinearAttention::operator()(const torch::Tensor& x) const {
  const torch::Tensor centred = x - x.mean(1, true);
  const torch::Tensor variance = centred.square().mean(1, true);
  const torch::Tensor normed = centred / (variance + kEpsilon).sqrt() * gain + bias;
  const std::vector<torch::Tensor> qkv = to_qkv(normed)
                                             .view({x.size(0), 3, kHeads, kHeadChannels, x.size(2)})
                                             .unbind(1);  // [n, heads, channels, h]
  const torch::Tensor query = qkv[0] / std::sqrt(static_cast<double>(kHeadChannels));
  const torch::Tensor context = qkv[1].softmax(-1).matmul(qkv[2].transpose(2, 3));  // [n, heads, key, value]
  return x + to_out(context.transpose(2, 3).matmul(query).flatten(1, 2));
}

TimeEmbedding::TimeEmbedding(Parameters& parameters, const std::string& name, int dim)
    : first(parameters, name + ".1", dim, std::int64_t{4} * dim),
      second(parameters, name + ".3", std::int64_t{4} * dim, dim) {}

torch::Tensor TimeEmbedding::operator()(const torch::Tensor& t) const {
  const torch::Tensor embedding =
      sinusoidal_embedding(t, first.weight.size(1)).to(first.weight.scalar_type());
  return second(fast_mish(first(embedding)));
}

Upsample::Upsample(Parameters& parameters, const std::string& name, int channels)
    : weight(parameters.uniform(name + ".weight", {channels, channels, 4}, std::int64_t{4} * channels)),
      bias(parameters.uniform(name + ".bias", {channels}, std::int64_t{4} * channels)) {}

TemporalUnet::TemporalUnet(const DiffusionConfig& config, const WindowLayout& layout, Parameters initial)
    : DenoiserNet(std::move(initial)), time_(parameters, "time_mlp", checked(config, layout).dim) {
  std::vector<int> channels = {layout.width()};
  for (const int multiplier : config.dim_mults) channels.push_back(config.dim * multiplier);
  const std::size_t levels = config.dim_mults.size();
  const auto block = [&](const std::string& name, int in, int out) {
    return TemporalBlock(parameters, name, in, out, config.dim);
  };

  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = "downs." + std::to_string(i);
    const int in = channels[i], out = channels[i + 1];
    Level& level = downs_.emplace_back(Level{block(name + ".0", in, out),
                                             block(name + ".1", out, out),
                                             make_attention(config.attention, parameters, name + ".2", out),
                                             {},
                                             {}});
    if (i + 1 < levels) level.down.emplace(parameters, name + ".3.conv", out, out, 3, 2, 1);
  }
  const int deepest = channels.back();
  middle_ = Middle{block("mid_block1", deepest, deepest), block("mid_block2", deepest, deepest),
                   make_attention(config.attention, parameters, "mid_attn", deepest)};
  for (std::size_t i = 0; i + 1 < levels; ++i) {
    const std::string name = "ups." + std::to_string(i);
    const int in = channels[levels - i], out = channels[levels - i - 1];
    Level& level = ups_.emplace_back(Level{block(name + ".0", 2 * in, out),
                                           block(name + ".1", out, out),
                                           make_attention(config.attention, parameters, name + ".2", out),
                                           {},
                                           {}});
    level.up.emplace(parameters, name + ".3.conv", out);
  }
  final_block_.emplace(parameters, "final_conv.0", channels[1], config.dim);
  final_conv_.emplace(parameters, "final_conv.1", config.dim, layout.width(), 1);
  fused_.emplace(UnetShape{layout.horizon, layout.width(), config.dim, config.dim_mults, config.attention},
                 parameters);
}

torch::Tensor TemporalUnet::forward(const torch::Tensor& x, const torch::Tensor& t) const {
  const auto plain = [this](const torch::Tensor& x_t, const torch::Tensor& when) {
    return forward_by_aten(x_t, when);
  };
  return fused_->takes(x, t) ? fused_->forward(x, t, plain) : plain(x, t);
}

torch::Tensor TemporalUnet::forward_by_aten(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor time = fast_mish(time_(t));
  torch::Tensor h = x.transpose(1, 2).contiguous();  // [n, width, horizon]
  std::vector<torch::Tensor> skips;
  const auto run = [&](const Level& level) {
    h = level.second(level.first(h, time), time);
    if (level.attention) h = (*level.attention)(h);
  };
  for (const Level& level : downs_) {
    run(level);
    skips.push_back(h);
    if (level.down) h = (*level.down)(h);
  }
  h = middle_->first(h, time);
  if (middle_->attention) h = (*middle_->attention)(h);
  h = middle_->second(h, time);
  for (const Level& level : ups_) {
    h = torch::cat({h, skips.back()}, 1);
    skips.pop_back();
    run(level);
    h = (*level.up)(h);
  }
  return (*final_conv_)((*final_block_)(h)).transpose(1, 2);
}

}  // namespace diffreward
