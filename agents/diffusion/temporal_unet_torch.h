// Diffuser's Temporal U-Net (Janner et al. 2022): 1-D convolutions over the rows of a window, two residual
// blocks per resolution, each halving of the horizon with more channels, skip connections on the way up.
// Parameter names are those of the authors' PyTorch module, so its state dict saved as safetensors loads
// unchanged.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <string>
#include <vector>

#include "agents/diffusion/denoiser_torch.h"
#include "agents/diffusion/fused_denoiser_torch.h"

namespace diffreward {

/// A 1-D convolution, x: [n, in, h] -> [n, out, h / stride].
struct Conv1d {
  torch::Tensor weight, bias;  // [out, in, kernel], [out] or undefined
  int stride, padding;
  Conv1d(Parameters& parameters, const std::string& name, int in, int out, int kernel, int stride = 1,
         int padding = 0, bool with_bias = true);
  torch::Tensor operator()(const torch::Tensor& x) const {
    return torch::conv1d(x, weight, bias, stride, padding);
  }
};

/// Convolution with kernel 5, GroupNorm over 8 groups, Mish.
struct ConvBlock {
  Conv1d conv;
  torch::Tensor norm_weight, norm_bias;  // [out]
  ConvBlock(Parameters& parameters, const std::string& name, int in, int out);
  torch::Tensor operator()(const torch::Tensor& x) const;
};

/// Two ConvBlocks with the time embedding added between them, and a shortcut.
struct TemporalBlock {
  ConvBlock first, second;
  Linear time;
  std::optional<Conv1d> shortcut;  // where in and out differ
  TemporalBlock(Parameters& parameters, const std::string& name, int in, int out, int time_dim);
  /// x: [n, in, h], activated_time: [n, time_dim] = Mish(time embedding)  ->  [n, out, h]
  torch::Tensor operator()(const torch::Tensor& x, const torch::Tensor& activated_time) const;
};

/// x + linear attention over rows of the channel-normalised x (Shen et al. 2021): 4 heads of 32 channels.
struct LinearAttention {
  Conv1d to_qkv, to_out;
  torch::Tensor gain, bias;  // [1, channels, 1]
  LinearAttention(Parameters& parameters, const std::string& name, int channels);
  torch::Tensor operator()(const torch::Tensor& x) const;
};

/// Two linear layers on the sinusoidal embedding of t.  [n] -> [n, dim]
struct TimeEmbedding {
  Linear first, second;
  TimeEmbedding(Parameters& parameters, const std::string& name, int dim);
  torch::Tensor operator()(const torch::Tensor& t) const;
};

/// Doubles the rows: a transposed convolution with kernel 4 and stride 2.
struct Upsample {
  torch::Tensor weight, bias;  // [channels, channels, 4], [channels]
  Upsample(Parameters& parameters, const std::string& name, int channels);
  torch::Tensor operator()(const torch::Tensor& x) const {
    return torch::conv_transpose1d(x, weight, bias, 2, 1);
  }
};

class TemporalUnet final : public DenoiserNet {
 public:
  /// Throws InvalidArgument unless horizon is a multiple of 2^(levels - 1) and every channel count one of 8.
  TemporalUnet(const DiffusionConfig& config, const WindowLayout& layout, Parameters parameters);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const override;

 private:
  torch::Tensor forward_by_aten(const torch::Tensor& x, const torch::Tensor& t) const;

  struct Level {
    TemporalBlock first, second;
    std::optional<LinearAttention> attention;
    std::optional<Conv1d> down;  // all but the last level
    std::optional<Upsample> up;  // on the way up
  };
  struct Middle {
    TemporalBlock first, second;
    std::optional<LinearAttention> attention;
  };

  TimeEmbedding time_;
  std::vector<Level> downs_, ups_;
  std::optional<Middle> middle_;
  std::optional<ConvBlock> final_block_;
  std::optional<Conv1d> final_conv_;
  std::optional<FusedDenoiser<UnetEngine>> fused_;
};

}  // namespace diffreward
