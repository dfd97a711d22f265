#include "agents/stable_diffusion/prompted_denoiser.h"

#include <torch/torch.h>

#include <vector>

#include "agents/diffusion/noise_levels_torch.h"
#include "agents/stable_diffusion/safe_latent_diffusion_torch.h"
#include "core/error.h"

namespace diffreward {

struct PromptedDenoiser::Texts {
  std::vector<torch::Tensor> all;  // nothing, prompt, unsafe, as far as there are
};

PromptedDenoiser::PromptedDenoiser(const StableDiffusion& model, const at::Tensor& nothing,
                                   const at::Tensor& prompt, const at::Tensor& unsafe, double guidance_scale,
                                   const SafetyConfig& safety)
    : model_(model), guidance_scale_(guidance_scale), safety_(safety.resolved()) {
  safety_.warmup_steps = 0;
  require(prompt.defined() && prompt.dim() == 3, "prompt: expected embedded texts, got none");
  require(!unsafe.defined() || nothing.defined(), "unsafe: expected nothing's embedding too, got none");
  Texts texts;
  if (nothing.defined()) texts.all.push_back(nothing);
  texts.all.push_back(prompt);
  if (unsafe.defined() && safety_.on()) texts.all.push_back(unsafe);
  texts_ = std::make_unique<const Texts>(std::move(texts));
}

PromptedDenoiser::~PromptedDenoiser() = default;

at::Tensor PromptedDenoiser::eps(const at::Tensor& x_t, const at::Tensor& t) const {
  const std::int64_t n = x_t.size(0), branches = static_cast<std::int64_t>(texts_->all.size());
  std::vector<torch::Tensor> each;
  for (const torch::Tensor& text : texts_->all) each.push_back(text.expand({n, -1, -1}));
  const std::vector<torch::Tensor> eps =
      model_.eps(x_t.repeat({branches, 1, 1, 1}), t.repeat({branches}), torch::cat(each))
          .to(x_t.scalar_type())
          .chunk(branches);
  if (branches == 1) return eps[0];
  if (branches == 2) return eps[0] + guidance_scale_ * (eps[1] - eps[0]);
  return sld_combine(eps[0], eps[1], eps[2], {}, 0, guidance_scale_, safety_).eps_safe;
}

at::Tensor PromptedDenoiser::predict_x0(const at::Tensor& x_t, const at::Tensor& t) const {
  const torch::Tensor bar =
      at_timesteps(torch::tensor(schedule().alpha_bar, torch::kDouble).to(x_t.device()), t, x_t.dim());
  const torch::Tensor signal = bar.sqrt().to(x_t.scalar_type()),
                      noise = (1 - bar).sqrt().to(x_t.scalar_type());
  return (x_t - noise * eps(x_t, t)) / signal;
}

}  // namespace diffreward
