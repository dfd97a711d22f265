// A U-Net with fixed texts as a DenoisingModel over latents, so that all that works on those works on it: samplers,
// guides, extraction (denoising_model.h).
//
//   x_0 = (x_t - sqrt(1 - abar_t) eps) / sqrt(abar_t),  hence score = -eps / sqrt(1 - abar_t),
// eps being that of the prompt, guided by classifier-free guidance and, with it, Safe Latent Diffusion. A denoiser is a
// function of x_t and t, so that momentum and warm-up, which belong to chains, are left out.
#pragma once

#include <memory>
#include <string>

#include "agents/diffusion/denoising_model.h"
#include "agents/stable_diffusion/stable_diffusion.h"

namespace diffreward {

class PromptedDenoiser final : public DenoisingModel {
 public:
  /// `model` must live as long. Texts: [1 or n, length, width], for n samples at a time. Of `nothing` undefined follows
  /// no guidance, eps of the prompt; of `unsafe` undefined, or safety that is off, no safety. Throws InvalidArgument.
  PromptedDenoiser(const StableDiffusion& model, const at::Tensor& nothing, const at::Tensor& prompt,
                   const at::Tensor& unsafe, double guidance_scale, const SafetyConfig& safety = {});
  ~PromptedDenoiser() override;

  const NoiseSchedule& schedule() const override { return model_.schedule(); }
  const std::string& device() const override { return model_.device(); }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override;
  /// The guided prediction of the noise, shaped as x_t and of its type.
  at::Tensor eps(const at::Tensor& x_t, const at::Tensor& t) const;

 private:
  struct Texts;
  const StableDiffusion& model_;
  std::unique_ptr<const Texts> texts_;
  double guidance_scale_;
  SafetyConfig safety_;
};

}  // namespace diffreward
