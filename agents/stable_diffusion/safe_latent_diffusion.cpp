#include "agents/stable_diffusion/safe_latent_diffusion.h"

#include <torch/torch.h>

#include "agents/stable_diffusion/safe_latent_diffusion_torch.h"

namespace diffreward {

SafetyConfig SafetyConfig::resolved() const {
  validate(*this);
  SafetyConfig out = *this;
  const auto set = [&](int warmup, double s, double lambda, double momentum, double beta) {
    out.warmup_steps = warmup;
    out.scale = s;
    out.threshold = lambda;
    out.momentum_scale = momentum;
    out.momentum_beta = beta;
  };
  if (preset == "weak") set(15, 20, 0, 0, 0);
  if (preset == "weak-paper") set(15, 200, 0, 0, 0);
  if (preset == "medium") set(10, 1000, 0.01, 0.3, 0.4);
  if (preset == "strong") set(7, 2000, 0.025, 0.5, 0.7);
  if (preset == "max") set(0, 5000, 1, 0.5, 0.7);
  return out;
}

SldStep sld_combine(const torch::Tensor& eps_nothing, const torch::Tensor& eps_prompt,
                    const torch::Tensor& eps_unsafe, const torch::Tensor& nu, int step, double guidance_scale,
                    const SafetyConfig& safety) {
  SldStep out;
  const torch::Tensor apart = eps_prompt - eps_unsafe, guidance = eps_prompt - eps_nothing;
  out.phi = (apart.abs() * safety.scale).clamp_max(1);
  out.mu = torch::where(apart >= safety.threshold, torch::zeros_like(out.phi), out.phi);
  out.gamma = (eps_unsafe - eps_nothing) * out.mu;
  if (nu.defined()) out.gamma = out.gamma + safety.momentum_scale * nu;
  out.nu = (1 - safety.momentum_beta) * out.gamma;
  if (nu.defined()) out.nu = safety.momentum_beta * nu + out.nu;
  out.eps_base = eps_nothing + guidance_scale * guidance;
  out.eps_safe =
      step >= safety.warmup_steps ? eps_nothing + guidance_scale * (guidance - out.gamma) : out.eps_base;
  return out;
}

}  // namespace diffreward
