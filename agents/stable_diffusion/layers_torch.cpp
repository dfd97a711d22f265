#include "agents/stable_diffusion/layers_torch.h"

namespace diffreward {

Conv2d::Conv2d(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
               std::int64_t kernel, std::int64_t stride_, std::int64_t padding_)
    : weight(parameters.uniform(name + ".weight", {out, in, kernel, kernel}, in * kernel * kernel)),
      bias(parameters.uniform(name + ".bias", {out}, in * kernel * kernel)),
      stride(stride_),
      padding(padding_) {}

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
  if (in != out) shortcut.emplace(parameters, name + ".conv_shortcut", in, out, 1);
}

torch::Tensor ResnetBlock2d::operator()(const torch::Tensor& x, const torch::Tensor& activated) const {
  torch::Tensor h = conv1(torch::silu(norm1(x)));
  if (time) h = h + (*time)(activated).unsqueeze(2).unsqueeze(3);
  h = conv2(torch::silu(norm2(h)));
  return (shortcut ? (*shortcut)(x) : x) + h;
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
