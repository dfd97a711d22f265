// The forward process on tensors.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "agents/diffusion/schedule.h"

namespace diffreward {

/// factors[t] shaped [n, 1, ..., 1] of `dims` dimensions, to be multiplied with samples.
torch::Tensor at_timesteps(const torch::Tensor& factors, const torch::Tensor& t, std::int64_t dims);

/// Per-timestep factors as float tensors, [timesteps].
struct NoiseLevels {
  torch::Tensor signal, noise;  // sqrt(abar_t), sqrt(1 - abar_t)
  NoiseLevels(const NoiseSchedule& schedule, const torch::Device& device);

  /// x_t of q(x_t | x_0) with this noise.  x_0, noise: [n, ...], t: [n] int64
  torch::Tensor add_noise(const torch::Tensor& x_0, const torch::Tensor& t, const torch::Tensor& with) const;
};

}  // namespace diffreward
