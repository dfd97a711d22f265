// A residual MLP over the flattened window, for short windows and small machines.
//
//   e = Mish(W_t sinusoid(t)),  h = W_in flatten(x),  layers times: h += W_2 Mish(W_1 LayerNorm(h) + U e),
//   output = W_out Mish(LayerNorm(h))
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "agents/diffusion/denoiser_torch.h"
#include "agents/diffusion/fused_denoiser_torch.h"

namespace diffreward {

class ResidualMlp final : public DenoiserNet {
 public:
  ResidualMlp(const DiffusionConfig& config, const WindowLayout& layout, Parameters parameters);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const override;

 private:
  torch::Tensor forward_by_aten(const torch::Tensor& x, const torch::Tensor& t) const;

  struct Block {
    LayerNorm norm;
    Linear first, second;
    Block(Parameters& parameters, const std::string& name, std::int64_t dim);
  };

  Linear time_, time_to_blocks_, in_;  // time_to_blocks_: U of all blocks, one matrix
  std::vector<Block> blocks_;
  LayerNorm norm_;
  Linear out_;
  FusedDenoiser<ResidualMlpEngine> fused_;
};

}  // namespace diffreward
