#include "agents/stable_diffusion/autoencoder_kl_torch.h"

#include <array>
#include <cmath>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kEpsilon = 1e-6;               // of every normalisation
constexpr double kLowest = -30, kHighest = 20;  // of logvar

}  // namespace

AutoencoderKlConfig AutoencoderKlConfig::read(ComponentConfig& config) {
  AutoencoderKlConfig out;
  out.in_channels = config.size("in_channels", out.in_channels);
  out.out_channels = config.size("out_channels", out.out_channels);
  out.latent_channels = config.size("latent_channels", out.latent_channels);
  out.block_out_channels = config.sizes("block_out_channels", {64});
  out.layers_per_block = config.size("layers_per_block", 1);
  out.norm_num_groups = config.size("norm_num_groups", out.norm_num_groups);
  out.scaling_factor = config.get<double>("scaling_factor", out.scaling_factor);
  out.use_quant_conv = config.get<bool>("use_quant_conv", true);
  out.use_post_quant_conv = config.get<bool>("use_post_quant_conv", true);
  out.mid_block_add_attention = config.get<bool>("mid_block_add_attention", true);
  if (!(std::isfinite(out.scaling_factor) && out.scaling_factor > 0))
    config.refuse("scaling_factor", "a positive number");
  const std::size_t levels = out.block_out_channels.size();
  if (levels > 16) config.refuse("block_out_channels", "at most 16 levels");
  for (const std::int64_t channels : out.block_out_channels)
    if (channels % out.norm_num_groups != 0)
      config.refuse("block_out_channels", concat("multiples of the ", out.norm_num_groups, " groups"));
  config.only("down_block_types", std::vector<std::string>(levels, "DownEncoderBlock2D"));
  config.only("up_block_types", std::vector<std::string>(levels, "UpDecoderBlock2D"));
  config.only("act_fn", "silu");
  for (const char* key : {"shift_factor", "latents_mean", "latents_std"}) config.only(key, nullptr);
  config.ignore({"sample_size", "force_upcast"});
  return out;
}

std::string AutoencoderKl::parameter_name(const std::string& name, TensorBytes& tensor) {
  const std::string inside = ".attentions.0.";
  const std::size_t at = name.find(inside);
  if (at == std::string::npos) return name;
  const std::string head = name.substr(0, at + inside.size()), tail = name.substr(at + inside.size());
  if (tensor.shape.size() == 4 && tensor.shape[2] == 1 && tensor.shape[3] == 1) tensor.shape.resize(2);
  static constexpr std::array<std::array<const char*, 2>, 4> kNames = {
      {{"query.", "to_q."}, {"key.", "to_k."}, {"value.", "to_v."}, {"proj_attn.", "to_out.0."}}};
  for (const auto& [old, now] : kNames)
    if (tail.starts_with(old)) return head + now + tail.substr(std::string_view(old).size());
  return name;
}

AutoencoderKl::ImageAttention::ImageAttention(Parameters& parameters, const std::string& name,
                                              std::int64_t channels, std::int64_t groups)
    : norm(parameters, name + ".group_norm", channels, groups, kEpsilon),
      attention(parameters, name, channels, channels, 1, true) {}

torch::Tensor AutoencoderKl::ImageAttention::operator()(const torch::Tensor& x) const {
  const torch::Tensor rows = norm(x).permute({0, 2, 3, 1}).flatten(1, 2);  // [n, h w, channels]
  return add_over(attention(rows, rows).view({x.size(0), x.size(2), x.size(3), -1}).permute({0, 3, 1, 2}), x);
}

torch::Tensor AutoencoderKl::Half::middle(torch::Tensor x) const {
  const torch::Tensor h = (*middle1)(std::move(x));
  return (*middle2)(attention ? (*attention)(h) : h);
}

ResnetBlock2d AutoencoderKl::resnet(const std::string& name, std::int64_t in, std::int64_t out) {
  return {parameters, name, in, out, config_.norm_num_groups, kEpsilon};
}

AutoencoderKl::Half AutoencoderKl::make_encoder() {
  const std::vector<std::int64_t>& channels = config_.block_out_channels;
  Half half{Conv2d(parameters, "encoder.conv_in", config_.in_channels, channels[0], 3, 1, 1),
            {},
            {},
            {},
            {},
            {},
            {}};
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string name = concat("encoder.down_blocks.", i);
    Level& level = half.levels.emplace_back();
    for (std::int64_t j = 0; j < config_.layers_per_block; ++j)
      level.resnets.push_back(resnet(concat(name, ".resnets.", j),
                                     j == 0 ? channels[i == 0 ? 0 : i - 1] : channels[i], channels[i]));
    if (i + 1 < channels.size())
      level.down.emplace(parameters, name + ".downsamplers.0.conv", channels[i], channels[i], 3, 2, 0);
  }
  finish(half, "encoder", channels.back(), channels.back(), 2 * config_.latent_channels);
  return half;
}

AutoencoderKl::Half AutoencoderKl::make_decoder() {
  const std::vector<std::int64_t> channels(config_.block_out_channels.rbegin(),
                                           config_.block_out_channels.rend());
  Half half{Conv2d(parameters, "decoder.conv_in", config_.latent_channels, channels[0], 3, 1, 1),
            {},
            {},
            {},
            {},
            {},
            {}};
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string name = concat("decoder.up_blocks.", i);
    Level& level = half.levels.emplace_back();
    for (std::int64_t j = 0; j <= config_.layers_per_block; ++j)
      level.resnets.push_back(resnet(concat(name, ".resnets.", j),
                                     j == 0 ? channels[i == 0 ? 0 : i - 1] : channels[i], channels[i]));
    if (i + 1 < channels.size()) level.up.emplace(parameters, name + ".upsamplers.0", channels[i]);
  }
  finish(half, "decoder", channels.front(), channels.back(), config_.out_channels);
  return half;
}

void AutoencoderKl::finish(Half& half, const std::string& name, std::int64_t middle, std::int64_t last,
                           std::int64_t out) {
  half.middle1 = resnet(name + ".mid_block.resnets.0", middle, middle);
  if (config_.mid_block_add_attention)
    half.attention.emplace(parameters, name + ".mid_block.attentions.0", middle, config_.norm_num_groups);
  half.middle2 = resnet(name + ".mid_block.resnets.1", middle, middle);
  half.norm_out.emplace(parameters, name + ".conv_norm_out", last, config_.norm_num_groups, kEpsilon);
  half.out.emplace(parameters, name + ".conv_out", last, out, 3, 1, 1);
}

AutoencoderKl::AutoencoderKl(const AutoencoderKlConfig& config, Parameters initial)
    : parameters(std::move(initial)), config_(config), encoder_(make_encoder()), decoder_(make_decoder()) {
  const std::int64_t z = config.latent_channels;
  if (config.use_quant_conv) quant_.emplace(parameters, "quant_conv", 2 * z, 2 * z, 1);
  if (config.use_post_quant_conv) post_quant_.emplace(parameters, "post_quant_conv", z, z, 1);
  parameters.finish();
}

torch::Tensor AutoencoderKl::encode(const torch::Tensor& image) const {
  require(image.dim() == 4 && image.size(1) == config_.in_channels && image.size(2) >= config_.factor() &&
              image.size(3) >= config_.factor(),
          "image: expected [n, ", config_.in_channels, ", H, W] of at least ", config_.factor(),
          " pixels a side, got ", image.sizes());
  torch::Tensor h = encoder_.in(image.contiguous(torch::MemoryFormat::ChannelsLast));
  for (const Level& level : encoder_.levels) {
    for (const ResnetBlock2d& block : level.resnets) h = block(std::move(h));
    if (level.down) h = (*level.down)(torch::constant_pad_nd(h, {0, 1, 0, 1}));  // right and below only
  }
  h = (*encoder_.norm_out)(encoder_.middle(std::move(h)));
  h = (*encoder_.out)(silu_over(std::move(h)));
  if (quant_) h = (*quant_)(h);
  const std::vector<torch::Tensor> moments = h.chunk(2, 1);
  return torch::stack({moments[0], moments[1].clamp(kLowest, kHighest)}).contiguous();
}

torch::Tensor AutoencoderKl::decode(const torch::Tensor& z) const {
  require(z.dim() == 4 && z.size(1) == config_.latent_channels, "latents: expected [n, ",
          config_.latent_channels, ", h, w], got ", z.sizes());
  torch::Tensor h = z.contiguous(torch::MemoryFormat::ChannelsLast);
  h = decoder_.middle(decoder_.in(post_quant_ ? (*post_quant_)(h) : h));
  for (const Level& level : decoder_.levels) {
    for (const ResnetBlock2d& block : level.resnets) h = block(std::move(h));
    if (level.up) h = (*level.up)(h, {2 * h.size(2), 2 * h.size(3)});
  }
  h = (*decoder_.norm_out)(h);
  return (*decoder_.out)(silu_over(std::move(h))).contiguous();
}

}  // namespace diffreward
