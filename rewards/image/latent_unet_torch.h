// The net behind an image reward: a half U-Net over latents. SiLU throughout, because matching gradients needs second
// derivatives.
//
//   conv 3x3, then per resolution a residual block, between two a convolution that halves both sides; the mean over
//   positions, with the timestep, through a small MLP
//   block: h + conv(SiLU(norm(SiLU(norm(conv(h))) scaled and shifted by the timestep)))
// The unconstrained rival, a vector field of the same trunk, goes back up as a U-Net does.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <vector>

#include "rewards/relative/reward_net_torch.h"

namespace diffreward {

struct LatentUnetShape {
  std::vector<std::int64_t> latent;  // [channels, h, w]
  int timesteps;                     // of the chain
  int dim;
  std::vector<int> dim_mults;
};

class LatentUnet final : public RewardNet {
 public:
  /// Throws InvalidArgument where sizes do not fit.
  LatentUnet(const LatentUnetShape& shape, Head head, Parameters parameters);
  // x: [n, channels, h, w], t: [n] or [1]
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const override;
  torch::Tensor gradient(const torch::Tensor& x, const torch::Tensor& t) const override {
    return autograd_gradient(x, t);
  }

 private:
  struct Conv {
    torch::Tensor weight, bias;
    std::int64_t stride, padding;
    Conv(Parameters& parameters, const std::string& name, int in, int out, int size, int stride_,
         int padding_);
    torch::Tensor operator()(const torch::Tensor& x) const {
      return torch::conv2d(x, weight, bias, stride, padding);
    }
  };
  struct Block {
    Conv first, second;
    torch::Tensor first_norm, first_bias, second_norm, second_bias;  // [out]
    Linear time;                                                     // to scale and shift
    std::optional<Conv> skip;
    Block(Parameters& parameters, const std::string& name, int in, int out);
    torch::Tensor operator()(const torch::Tensor& h, const torch::Tensor& time_units) const;
  };

  LatentUnetShape shape_;
  Head head_;
  Linear time_;
  Conv in_;
  std::vector<Block> down_;
  std::vector<Conv> halve_;
  std::vector<Block> up_;  // of a field alone, from the second lowest resolution up
  std::optional<Linear> hidden_, out_;
  std::optional<Conv> field_;
};

}  // namespace diffreward
