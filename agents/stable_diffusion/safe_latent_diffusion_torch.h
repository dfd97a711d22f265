// One step of Safe Latent Diffusion on tensors: a function of its arguments.
#pragma once

#include <torch/torch.h>

#include "agents/stable_diffusion/safe_latent_diffusion.h"

namespace diffreward {

struct SldStep {
  torch::Tensor phi, mu, gamma;
  torch::Tensor nu;        // for the next step
  torch::Tensor eps_base;  // by classifier-free guidance alone
  torch::Tensor eps_safe;
};

/// The formulas of safe_latent_diffusion.h, whatever `safety.preset` says; all tensors of one shape, nu undefined for 0.
SldStep sld_combine(const torch::Tensor& eps_nothing, const torch::Tensor& eps_prompt,
                    const torch::Tensor& eps_unsafe, const torch::Tensor& nu, int step, double guidance_scale,
                    const SafetyConfig& safety);

}  // namespace diffreward
