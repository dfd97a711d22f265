// The U-Net of Stable Diffusion 1.x (Rombach et al. 2022), diffusers' UNet2DConditionModel: eps of a noised latent, its
// timestep and a text's embedding. Per resolution residual blocks that are told the time, followed by transformers that
// attend to the text (blocks named CrossAttn...), with skips from the way down to the way up.
//
//   time         e = W2 SiLU(W1 [cos(t w_k), sin(t w_k)]),  w_k = 10000^(-k / (half - freq_shift))
//   transformer  x + out(blocks(in(GroupNorm(x)))), a block being x += self(x), x += cross(x, text), x += GEGLU(x),
//                each of the normalised x;  GEGLU(x) = W (a * GELU(b)), [a, b] = U x
//
// `attention_head_dim` counts heads, by a misnomer that diffusers keeps.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agents/stable_diffusion/component.h"
#include "agents/stable_diffusion/layers_torch.h"

namespace diffreward {

struct Unet2dConditionConfig {
  std::int64_t sample_size = 64;  // of latents, where nothing else is asked for
  std::int64_t in_channels = 4, out_channels = 4;
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  std::vector<std::string> down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                               "CrossAttnDownBlock2D", "DownBlock2D"};
  std::vector<std::string> up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                             "CrossAttnUpBlock2D"};
  std::vector<std::int64_t> block_out_channels = {320, 640, 1280, 1280};
  std::int64_t layers_per_block = 2, transformer_layers_per_block = 1;
  std::int64_t norm_num_groups = 32;
  double norm_eps = 1e-5;
  std::int64_t cross_attention_dim = 1280;
  std::vector<std::int64_t> heads = {8, 8, 8, 8};  // attention_head_dim, one a block
  bool use_linear_projection = false;
  /// Throws Error naming the file and the key for what is not supported.
  static Unet2dConditionConfig read(ComponentConfig& config);
};

class Unet2dConditionModel {
 public:
  Unet2dConditionModel(const Unet2dConditionConfig& config, Parameters parameters);

  /// x: [n, in_channels, h, w], t: [n] or [1], whole or not, text: [n, length, cross_attention_dim]
  ///   ->  eps [n, out_channels, h, w]
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor& text,
                        const Watch& watch = {}) const;
  /// The embedding e of timesteps.  t: [n] -> [n, 4 block_out_channels[0]]
  torch::Tensor time_embedding(const torch::Tensor& t) const;

  const Unet2dConditionConfig& config() const { return config_; }
  Parameters parameters;

 private:
  struct TextBlock {  // diffusers' BasicTransformerBlock
    LayerNorm norm1;
    HeadsAttention attn1;
    LayerNorm norm2;
    HeadsAttention attn2;
    LayerNorm norm3;
    Linear gated, out;
    TextBlock(Parameters& parameters, const std::string& name, std::int64_t channels, std::int64_t text,
              std::int64_t heads);
    torch::Tensor geglu(const torch::Tensor& x) const;
    /// x is written over where no derivative is asked for.
    torch::Tensor operator()(torch::Tensor x, const torch::Tensor& text) const;
  };
  struct TextTransformer {  // diffusers' Transformer2DModel
    GroupNorm norm;
    torch::Tensor in_weight,
        in_bias;  // [channels, channels], with [1, 1] more where it is stored as a convolution
    std::vector<TextBlock> blocks;
    torch::Tensor out_weight, out_bias;
    TextTransformer(Parameters& parameters, const std::string& name, const Unet2dConditionConfig& config,
                    std::size_t level);
    torch::Tensor operator()(const torch::Tensor& x, const torch::Tensor& text) const;
  };
  struct Level {
    std::vector<ResnetBlock2d> resnets;
    std::vector<TextTransformer> attentions;  // one a resnet, or none
    std::optional<Conv2d> down;
    std::optional<Upsample2d> up;
  };
  ResnetBlock2d resnet(const std::string& name, std::int64_t in, std::int64_t out);

  Unet2dConditionConfig config_;
  Linear time1_, time2_;
  Conv2d conv_in_;
  std::vector<Level> downs_, ups_;
  std::optional<ResnetBlock2d> middle1_, middle2_;
  std::optional<TextTransformer> middle_attention_;
  std::optional<GroupNorm> norm_out_;
  std::optional<Conv2d> conv_out_;
};

/// [cos(t w_k), sin(t w_k)] as above, or sines first without `flip`; single precision.  t: [n] -> [n, size]
torch::Tensor timestep_sinusoid(const torch::Tensor& t, std::int64_t size, bool flip, double freq_shift);

}  // namespace diffreward
