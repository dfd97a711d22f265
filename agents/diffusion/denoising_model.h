// What every diffusion model can do, whatever a sample is: from a denoiser E[x_0 | x_t] and its noise schedule
// follow the posterior mean, the score and all samplers (agents/diffusion/sampler.h). Learned
// (diffusion_model.h), known in closed form (tests), or anybody's own.
//
// Samples are x [n, ...] in model units, tensors float32 on the model's device; t [n] int64 counts noise levels
// 0 ... T - 1, from least to most noise.
#pragma once

#include <string>

#include "agents/diffusion/schedule.h"
#include "agents/tensor.h"

namespace diffreward {

class DenoisingModel {
 public:
  virtual ~DenoisingModel() = default;

  virtual const NoiseSchedule& schedule() const = 0;
  virtual const std::string& device() const = 0;  ///< "cpu" or "cuda"

  /// E[x_0 | x_t], shaped as x_t; differentiable in x_t where gradients are enabled, unlike all below.
  virtual at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const = 0;

  /// Mean of p(x_{t-1} | x_t) = c0_t x_0(x_t) + ct_t x_t.
  at::Tensor posterior_mean(const at::Tensor& x_t, const at::Tensor& t) const;
  /// grad_x log p_t(x_t) = (sqrt(abar_t) x_0(x_t) - x_t) / (1 - abar_t).
  at::Tensor score(const at::Tensor& x_t, const at::Tensor& t) const;
  /// q(x_t | x_0) with this noise.
  at::Tensor add_noise(const at::Tensor& x_0, const at::Tensor& t, const at::Tensor& noise) const;
};

}  // namespace diffreward
