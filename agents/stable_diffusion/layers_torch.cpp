#include "agents/stable_diffusion/layers_torch.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

#include "agents/nets/mapped_torch.h"
#include "agents/stable_diffusion/winograd_torch.h"

namespace diffreward {
namespace {

// from these on the minimal filtering is faster: its weights have 16 / 9 of the size, so they must serve many pixels
constexpr std::int64_t kFilteredChannels = 32, kFilteredPixels = 32 * 32;

/// Whether oneDNN has convolutions of the type that this processor calculates fast.
bool serves(torch::ScalarType type) {
  if (!at::hasMKLDNN()) return false;
  if (type != torch::kBFloat16) return type == torch::kFloat;
  static const bool has_bfloat16 = c10::Dispatcher::singleton()
                                       .findSchemaOrThrow("mkldnn::_is_mkldnn_bf16_supported", "")
                                       .typed<bool()>()
                                       .call();
  return has_bfloat16;
}

/// oneDNN's convolution of weights that are in its own order: an operator that LibTorch has under its name alone.
torch::Tensor packed_convolution(const torch::Tensor& x, const torch::Tensor& packed,
                                 const torch::Tensor& bias, at::IntArrayRef padding, at::IntArrayRef stride) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  using Convolution =
      torch::Tensor(const torch::Tensor&, const torch::Tensor&, const std::optional<torch::Tensor>&,
                    at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, std::int64_t, std::string_view,
                    Scalars, std::optional<std::string_view>);
  static const auto convolution = c10::Dispatcher::singleton()
                                      .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
                                      .typed<Convolution>();
  return convolution.call(x, packed, bias, padding, stride, {1, 1}, 1, "none", Scalars(), "");
}

}  // namespace

struct Conv2d::Packed {
  std::once_flag once, once_filtered;
  torch::Tensor weight, filtered;  // in oneDNN's order; of winograd_convolution()
};

torch::Tensor silu_over(torch::Tensor x) {
  return is_spent(x) ? torch::silu_(x) : torch::silu(x);
}

torch::Tensor add_over(torch::Tensor x, const torch::Tensor& y) {
  return is_spent(x) && is_spent(y) ? x.add_(y) : x + y;
}

Conv2d::Conv2d(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
               std::int64_t kernel, std::int64_t stride_, std::int64_t padding_)
    : weight(parameters.uniform(name + ".weight", {out, in, kernel, kernel}, in * kernel * kernel)),
      bias(parameters.uniform(name + ".bias", {out}, in * kernel * kernel)),
      stride(stride_),
      padding(padding_) {
  if (!weight.requires_grad() && weight.is_cpu() && serves(weight.scalar_type()))
    packed_ = std::make_shared<Packed>();
}

bool Conv2d::filters(const torch::Tensor& x) const {
  const std::int64_t out = weight.size(0), in = weight.size(1);
  return filtered && x.scalar_type() == torch::kFloat && weight.size(2) == 3 && stride == 1 && padding == 1 &&
         std::min(out, in) >= kFilteredChannels && out % kWinogradLanes == 0 && in % kWinogradLanes == 0 &&
         x.size(2) * x.size(3) >= kFilteredPixels;
}

torch::Tensor Conv2d::operator()(const torch::Tensor& x) const {
  if (!packed_ || !is_spent(x) || x.numel() == 0 || !at::globalContext().userEnabledMkldnn())
    return torch::conv2d(x, weight, bias, stride, padding);
  if (filters(x)) {
    std::call_once(packed_->once_filtered, [&] {
      packed_->filtered = winograd_weight(weight);
      release_pages(weight);
    });
    return winograd_convolution(x, packed_->filtered, bias);
  }
  const std::array<std::int64_t, 2> paddings{padding, padding}, strides{stride, stride};
  std::call_once(packed_->once, [&] {
    packed_->weight =
        at::mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), paddings, strides, {1, 1}, 1, x.sizes());
    release_pages(weight);
  });
  return packed_convolution(x, packed_->weight, bias, paddings, strides);
}

GroupNorm::GroupNorm(Parameters& parameters, const std::string& name, std::int64_t channels,
                     std::int64_t groups_, double epsilon_)
    : weight(parameters.constant(name + ".weight", {channels}, 1)),
      bias(parameters.constant(name + ".bias", {channels}, 0)),
      groups(groups_),
      epsilon(epsilon_) {}

ResnetBlock2d::ResnetBlock2d(Parameters& parameters, const std::string& name, std::int64_t in,
                             std::int64_t out, std::int64_t groups, double epsilon, std::int64_t embedding)
    : norm1(parameters, name + ".norm1", in, groups, epsilon),
      conv1(parameters, name + ".conv1", in, out, 3, 1, 1),
      time(embedding > 0 ? std::make_optional<Linear>(parameters, name + ".time_emb_proj", embedding, out)
                         : std::nullopt),
      norm2(parameters, name + ".norm2", out, groups, epsilon),
      conv2(parameters, name + ".conv2", out, out, 3, 1, 1) {
  conv1.filtered = conv2.filtered = embedding > 0;  // of a U-Net; decoding is bound by memory
  if (in != out) shortcut.emplace(parameters, name + ".conv_shortcut", in, out, 1);
}

torch::Tensor ResnetBlock2d::operator()(torch::Tensor x, const torch::Tensor& activated) const {
  torch::Tensor h = conv1(silu_over(norm1(x)));
  if (time) h = add_over(std::move(h), (*time)(activated).unsqueeze(2).unsqueeze(3));
  if (shortcut) x = (*shortcut)(x);
  h = silu_over(norm2(h));  // frees what conv1 gave
  return add_over(conv2(h), x);
}

Upsample2d::Upsample2d(Parameters& parameters, const std::string& name, std::int64_t channels)
    : conv(parameters, name + ".conv", channels, channels, 3, 1, 1) {}

torch::Tensor Upsample2d::operator()(const torch::Tensor& x,
                                     std::pair<std::int64_t, std::int64_t> size) const {
  return conv(torch::upsample_nearest2d(x, {size.first, size.second}));
}

HeadsAttention::HeadsAttention(Parameters& parameters, const std::string& name, std::int64_t channels,
                               std::int64_t context_channels, std::int64_t heads_, bool with_bias)
    : to_q(parameters, name + ".to_q", channels, channels, with_bias),
      to_k(parameters, name + ".to_k", context_channels, channels, with_bias),
      to_v(parameters, name + ".to_v", context_channels, channels, with_bias),
      to_out(parameters, name + ".to_out.0", channels, channels),
      heads(heads_) {}

torch::Tensor HeadsAttention::operator()(const torch::Tensor& x, const torch::Tensor& context) const {
  return to_out(attend(to_q(x), to_k(context), to_v(context), heads));
}

torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     std::int64_t heads, bool causal) {
  const auto by_heads = [&](const torch::Tensor& x) {
    return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
  };
  return torch::scaled_dot_product_attention(by_heads(q), by_heads(k), by_heads(v), {}, 0, causal)
      .transpose(1, 2)
      .reshape(q.sizes());
}

}  // namespace diffreward
