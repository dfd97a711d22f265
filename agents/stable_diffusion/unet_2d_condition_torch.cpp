#include "agents/stable_diffusion/unet_2d_condition_torch.h"

#include <cmath>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kTransformerEpsilon = 1e-6;  // of its group normalisation, whatever norm_eps says
constexpr std::int64_t kGatedRows =
    1024;  // that GEGLU takes at a time: its product is 8 channels wide for one

std::vector<std::string> block_types(ComponentConfig& config, const char* key,
                                     const std::vector<std::string>& fallback, const std::string& plain,
                                     const std::string& attending) {
  const auto types = config.get<std::vector<std::string>>(key, fallback);
  for (const std::string& type : types)
    if (type != plain && type != attending) config.refuse(key, concat(plain, " and ", attending));
  return types;
}

bool attends(const std::string& type) {
  return type.starts_with("CrossAttn");
}

}  // namespace

Unet2dConditionConfig Unet2dConditionConfig::read(ComponentConfig& config) {
  Unet2dConditionConfig out;
  out.sample_size = config.size("sample_size", out.sample_size);
  out.in_channels = config.size("in_channels", out.in_channels);
  out.out_channels = config.size("out_channels", out.out_channels);
  out.flip_sin_to_cos = config.get<bool>("flip_sin_to_cos", out.flip_sin_to_cos);
  out.freq_shift = config.get<double>("freq_shift", out.freq_shift);
  out.down_block_types =
      block_types(config, "down_block_types", out.down_block_types, "DownBlock2D", "CrossAttnDownBlock2D");
  out.up_block_types =
      block_types(config, "up_block_types", out.up_block_types, "UpBlock2D", "CrossAttnUpBlock2D");
  out.block_out_channels = config.sizes("block_out_channels", out.block_out_channels);
  out.layers_per_block = config.size("layers_per_block", out.layers_per_block);
  out.transformer_layers_per_block =
      config.size("transformer_layers_per_block", out.transformer_layers_per_block);
  out.norm_num_groups = config.size("norm_num_groups", out.norm_num_groups);
  out.norm_eps = config.get<double>("norm_eps", out.norm_eps);
  out.cross_attention_dim = config.size("cross_attention_dim", out.cross_attention_dim);
  out.use_linear_projection = config.get<bool>("use_linear_projection", out.use_linear_projection);

  const std::size_t levels = out.block_out_channels.size();
  if (out.down_block_types.size() != levels)
    config.refuse("down_block_types", concat(levels, ", one for each of block_out_channels"));
  if (out.up_block_types.size() != levels)
    config.refuse("up_block_types", concat(levels, ", one for each of block_out_channels"));
  const bool one = !config.has("attention_head_dim") || config.get<Json>("attention_head_dim").is_number();
  out.heads = one ? std::vector(levels, config.size("attention_head_dim", 8))
                  : config.sizes("attention_head_dim", {});
  if (out.heads.size() != levels) config.refuse("attention_head_dim", concat("one number or ", levels));
  for (std::size_t i = 0; i < levels; ++i) {
    if (out.block_out_channels[i] % out.norm_num_groups != 0)
      config.refuse("block_out_channels", concat("multiples of the ", out.norm_num_groups, " groups"));
    if (out.block_out_channels[i] % out.heads[i] != 0)
      config.refuse("attention_head_dim", "numbers of heads that divide block_out_channels");
  }
  if (out.block_out_channels[0] % 2 != 0) config.refuse("block_out_channels", "an even number first");

  for (const char* key :
       {"num_attention_heads", "class_embed_type", "addition_embed_type", "num_class_embeds",
        "encoder_hid_dim", "encoder_hid_dim_type", "reverse_transformer_layers_per_block",
        "time_embedding_dim", "time_embedding_act_fn", "timestep_post_act", "time_cond_proj_dim",
        "projection_class_embeddings_input_dim", "mid_block_only_cross_attention", "cross_attention_norm"})
    config.only(key, nullptr);
  for (const char* key : {"center_input_sample", "only_cross_attention", "dual_cross_attention",
                          "class_embeddings_concat", "resnet_skip_time_act"})
    config.only(key, false);
  config.only("mid_block_type", "UNetMidBlock2DCrossAttn");
  config.only("downsample_padding", 1);
  config.only("mid_block_scale_factor", 1);
  config.only("act_fn", "silu");
  config.only("resnet_time_scale_shift", "default");
  config.only("resnet_out_scale_factor", 1);
  config.only("time_embedding_type", "positional");
  config.only("conv_in_kernel", 3);
  config.only("conv_out_kernel", 3);
  config.only("attention_type", "default");
  // upcast_attention: diffusers' own attention does not look at it
  config.ignore({"dropout", "upcast_attention", "addition_embed_type_num_heads", "addition_time_embed_dim"});
  return out;
}

torch::Tensor timestep_sinusoid(const torch::Tensor& t, std::int64_t size, bool flip, double freq_shift) {
  const std::int64_t half = size / 2;
  const torch::Tensor exponent = -std::log(10000.0) *
                                 torch::arange(half, torch::dtype(torch::kFloat).device(t.device())) /
                                 (static_cast<double>(half) - freq_shift);
  const torch::Tensor angle = t.to(torch::kFloat).unsqueeze(1) * exponent.exp().unsqueeze(0);
  return flip ? torch::cat({angle.cos(), angle.sin()}, 1) : torch::cat({angle.sin(), angle.cos()}, 1);
}

Unet2dConditionModel::TextBlock::TextBlock(Parameters& parameters, const std::string& name,
                                           std::int64_t channels, std::int64_t text, std::int64_t heads)
    : norm1(parameters, name + ".norm1", channels),
      attn1(parameters, name + ".attn1", channels, channels, heads, false),
      norm2(parameters, name + ".norm2", channels),
      attn2(parameters, name + ".attn2", channels, text, heads, false),
      norm3(parameters, name + ".norm3", channels),
      gated(parameters, name + ".ff.net.0.proj", channels, 8 * channels),
      out(parameters, name + ".ff.net.2", 4 * channels, channels) {}

torch::Tensor Unet2dConditionModel::TextBlock::operator()(torch::Tensor x, const torch::Tensor& text) const {
  const torch::Tensor own = norm1(x);
  x = add_over(x, attn1(own, own));
  x = add_over(x, attn2(norm2(x), text));
  if (!is_spent(x)) return x + geglu(x);
  for (torch::Tensor& rows : x.view({-1, x.size(2)}).split(kGatedRows)) rows.add_(geglu(rows));
  return x;
}

torch::Tensor Unet2dConditionModel::TextBlock::geglu(const torch::Tensor& x) const {
  const std::vector<torch::Tensor> halves = gated(norm3(x)).chunk(2, -1);
  if (is_spent(halves[1])) return out(torch::gelu(halves[1]).mul_(halves[0]));
  return out(halves[0] * torch::gelu(halves[1]));
}

Unet2dConditionModel::TextTransformer::TextTransformer(Parameters& parameters, const std::string& name,
                                                       const Unet2dConditionConfig& config, std::size_t level)
    : norm(parameters, name + ".norm", config.block_out_channels[level], config.norm_num_groups,
           kTransformerEpsilon) {
  const std::int64_t channels = config.block_out_channels[level];
  std::vector<std::int64_t> shape = {channels, channels};
  if (!config.use_linear_projection) shape.insert(shape.end(), {1, 1});
  in_weight = parameters.uniform(name + ".proj_in.weight", shape, channels);
  in_bias = parameters.uniform(name + ".proj_in.bias", {channels}, channels);
  for (std::int64_t i = 0; i < config.transformer_layers_per_block; ++i)
    blocks.emplace_back(parameters, concat(name, ".transformer_blocks.", i), channels,
                        config.cross_attention_dim, config.heads[level]);
  out_weight = parameters.uniform(name + ".proj_out.weight", shape, channels);
  out_bias = parameters.uniform(name + ".proj_out.bias", {channels}, channels);
}

torch::Tensor Unet2dConditionModel::TextTransformer::operator()(const torch::Tensor& x,
                                                                const torch::Tensor& text) const {
  // a convolution of 1 x 1 is a product with each position's channels, which lie together in memory
  torch::Tensor h = norm(x).permute({0, 2, 3, 1}).flatten(1, 2);  // [n, h w, channels]
  h = torch::linear(h, in_weight.flatten(1), in_bias);
  for (const TextBlock& block : blocks) h = block(std::move(h), text);
  h = torch::linear(h, out_weight.flatten(1), out_bias);
  return add_over(h.view({x.size(0), x.size(2), x.size(3), -1}).permute({0, 3, 1, 2}), x);
}

ResnetBlock2d Unet2dConditionModel::resnet(const std::string& name, std::int64_t in, std::int64_t out) {
  return {parameters,
          name,
          in,
          out,
          config_.norm_num_groups,
          config_.norm_eps,
          4 * config_.block_out_channels[0]};
}

Unet2dConditionModel::Unet2dConditionModel(const Unet2dConditionConfig& config, Parameters initial)
    : parameters(std::move(initial)),
      config_(config),
      time1_(parameters, "time_embedding.linear_1", config.block_out_channels[0],
             4 * config.block_out_channels[0]),
      time2_(parameters, "time_embedding.linear_2", 4 * config.block_out_channels[0],
             4 * config.block_out_channels[0]),
      conv_in_(parameters, "conv_in", config.in_channels, config.block_out_channels[0], 3, 1, 1) {
  const std::vector<std::int64_t>& channels = config.block_out_channels;
  const std::size_t levels = channels.size();
  std::vector<std::int64_t> skips = {channels[0]};
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = concat("down_blocks.", i);
    Level& level = downs_.emplace_back();
    for (std::int64_t j = 0; j < config.layers_per_block; ++j) {
      level.resnets.push_back(resnet(concat(name, ".resnets.", j), skips.back(), channels[i]));
      if (attends(config.down_block_types[i]))
        level.attentions.emplace_back(parameters, concat(name, ".attentions.", j), config, i);
      skips.push_back(channels[i]);
    }
    if (i + 1 == levels) continue;
    level.down.emplace(parameters, name + ".downsamplers.0.conv", channels[i], channels[i], 3, 2, 1);
    skips.push_back(channels[i]);
  }
  std::int64_t now = channels.back();
  middle1_ = resnet("mid_block.resnets.0", now, now);
  middle_attention_.emplace(parameters, "mid_block.attentions.0", config, levels - 1);
  middle2_ = resnet("mid_block.resnets.1", now, now);
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = concat("up_blocks.", i);
    const std::size_t at = levels - 1 - i;
    Level& level = ups_.emplace_back();
    for (std::int64_t j = 0; j <= config.layers_per_block; ++j) {
      level.resnets.push_back(resnet(concat(name, ".resnets.", j), now + skips.back(), channels[at]));
      if (attends(config.up_block_types[i]))
        level.attentions.emplace_back(parameters, concat(name, ".attentions.", j), config, at);
      skips.pop_back();
      now = channels[at];
    }
    if (at == 0) continue;
    level.up.emplace(parameters, name + ".upsamplers.0", now);
    level.up->conv.filtered = true;
  }
  norm_out_.emplace(parameters, "conv_norm_out", now, config.norm_num_groups, config.norm_eps);
  conv_out_.emplace(parameters, "conv_out", now, config.out_channels, 3, 1, 1);
  parameters.finish();
}

torch::Tensor Unet2dConditionModel::time_embedding(const torch::Tensor& t) const {
  const torch::Tensor sinusoid = timestep_sinusoid(t.to(parameters.device()), config_.block_out_channels[0],
                                                   config_.flip_sin_to_cos, config_.freq_shift);
  return time2_(torch::silu(time1_(sinusoid.to(parameters.type()))));
}

torch::Tensor Unet2dConditionModel::forward(const torch::Tensor& x, const torch::Tensor& t,
                                            const torch::Tensor& text, const Watch& watch) const {
  require(x.dim() == 4 && x.size(1) == config_.in_channels, "latents: expected [n, ", config_.in_channels,
          ", h, w], got ", x.sizes());
  require(text.dim() == 3 && text.size(0) == x.size(0) && text.size(2) == config_.cross_attention_dim,
          "text: expected [", x.size(0), ", length, ", config_.cross_attention_dim, "], got ", text.sizes());
  const auto seen = [&](const std::string& name, const torch::Tensor& output) {
    if (watch) watch("unet." + name, output);
  };
  const torch::Tensor embedding = time_embedding(t.expand({x.size(0)}));
  seen("time_embedding", embedding);
  const torch::Tensor time = torch::silu(embedding);  // once for all blocks
  // packed weights want channels last; the kernels of a training, and their gradients, are faster without
  const bool learns = torch::GradMode::is_enabled() && conv_in_.weight.requires_grad();
  torch::Tensor h =
      conv_in_(x.contiguous(learns ? torch::MemoryFormat::Contiguous : torch::MemoryFormat::ChannelsLast));
  std::vector<torch::Tensor> skips = {h};
  for (std::size_t i = 0; i < downs_.size(); ++i) {
    const Level& level = downs_[i];
    for (std::size_t j = 0; j < level.resnets.size(); ++j) {
      h = level.resnets[j](h, time);
      if (!level.attentions.empty()) h = level.attentions[j](h, text);
      skips.push_back(h);
    }
    if (level.down) skips.push_back(h = (*level.down)(h));
    seen(concat("down_blocks.", i), h);
  }
  h = (*middle2_)((*middle_attention_)((*middle1_)(h, time), text), time);
  seen("mid_block", h);
  for (std::size_t i = 0; i < ups_.size(); ++i) {
    const Level& level = ups_[i];
    for (std::size_t j = 0; j < level.resnets.size(); ++j) {
      h = level.resnets[j](torch::cat({h, skips.back()}, 1), time);
      skips.pop_back();
      if (!level.attentions.empty()) h = level.attentions[j](h, text);
    }
    // to the size of the next skip, which is twice this one's or, on the way down from an odd one, one less
    if (level.up) h = (*level.up)(h, {skips.back().size(2), skips.back().size(3)});
    seen(concat("up_blocks.", i), h);
  }
  return (*conv_out_)(silu_over((*norm_out_)(h))).contiguous();
}

}  // namespace diffreward
