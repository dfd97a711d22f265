// The autoencoder between images and latents (Rombach et al. 2022), diffusers' AutoencoderKL: residual blocks per
// resolution, one attention over all positions in the middle, q(z | image) = N(mean, exp(logvar)).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agents/stable_diffusion/component.h"
#include "agents/stable_diffusion/layers_torch.h"

namespace diffreward {

struct AutoencoderKlConfig {
  std::int64_t in_channels = 3, out_channels = 3, latent_channels = 4;
  std::vector<std::int64_t> block_out_channels = {128, 256, 512, 512};
  std::int64_t layers_per_block = 2;
  std::int64_t norm_num_groups = 32;
  double scaling_factor = 0.18215;  // latents of the U-Net are z times this
  bool use_quant_conv = true, use_post_quant_conv = true, mid_block_add_attention = true;
  /// Throws Error naming the file and the key for what is not supported.
  static AutoencoderKlConfig read(ComponentConfig& config);
  /// Pixels of an image per position of a latent, along each side.
  std::int64_t factor() const { return std::int64_t{1} << (block_out_channels.size() - 1); }
};

class AutoencoderKl {
 public:
  AutoencoderKl(const AutoencoderKlConfig& config, Parameters parameters);
  /// The name that this net gives to a tensor of a file, and its shape: of old files too, whose attention has other
  /// names and 1 x 1 convolutions.
  static std::string parameter_name(const std::string& name, TensorBytes& tensor);

  /// image: [n, in_channels, H, W] in [-1, 1]  ->  mean and logvar, stacked, [2, n, latent_channels, h, w]
  torch::Tensor encode(const torch::Tensor& image) const;
  /// z: [n, latent_channels, h, w]  ->  [n, out_channels, factor h, factor w], about in [-1, 1]
  torch::Tensor decode(const torch::Tensor& z) const;

  const AutoencoderKlConfig& config() const { return config_; }
  Parameters parameters;

 private:
  struct ImageAttention {
    GroupNorm norm;
    HeadsAttention attention;
    ImageAttention(Parameters& parameters, const std::string& name, std::int64_t channels,
                   std::int64_t groups);
    torch::Tensor operator()(const torch::Tensor& x) const;
  };
  struct Level {
    std::vector<ResnetBlock2d> resnets;
    std::optional<Conv2d> down;
    std::optional<Upsample2d> up;
  };
  struct Half {  // encoder or decoder
    Conv2d in;
    std::vector<Level> levels;
    std::optional<ResnetBlock2d> middle1, middle2;
    std::optional<ImageAttention> attention;
    std::optional<GroupNorm> norm_out;
    std::optional<Conv2d> out;
    torch::Tensor middle(torch::Tensor x) const;
  };
  ResnetBlock2d resnet(const std::string& name, std::int64_t in, std::int64_t out);
  Half make_encoder();
  Half make_decoder();
  void finish(Half& half, const std::string& name, std::int64_t middle, std::int64_t last, std::int64_t out);

  AutoencoderKlConfig config_;
  Half encoder_, decoder_;
  std::optional<Conv2d> quant_, post_quant_;
};

}  // namespace diffreward
