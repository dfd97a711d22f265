#include "rewards/image/diffusion_classifier.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "agents/nets/noise_torch.h"
#include "core/error.h"
#include "core/progress.h"

namespace diffreward {
namespace {

constexpr std::int64_t kTogether = 32;  // pictures per call of the U-Net, twice

}  // namespace

at::Tensor diffusion_classifier(const StableDiffusion& model, const at::Tensor& latents,
                                const std::string& concept_text, const DiffusionClassifierConfig& config) {
  const torch::NoGradGuard no_grad;
  validate(config);
  const NoiseSchedule& schedule = model.schedule();
  require(config.lowest_t <= config.highest_t && config.highest_t < schedule.timesteps,
          "lowest_t, highest_t: expected timesteps in order below ", schedule.timesteps, ", got ",
          config.lowest_t, " and ", config.highest_t);
  const torch::Tensor texts = model.embed({"", concept_text}),
                      there = latents.to(texts.device(), torch::kFloat);
  const std::int64_t n = there.size(0);
  std::vector<std::int64_t> shape = there.sizes().vec();
  shape[0] = 1;
  torch::Tensor sum = torch::zeros({n});
  Progress progress("diffusion classifier", n * config.draws, "pictures");
  for (int draw = 0; draw < config.draws; ++draw) {
    const int t =
        config.lowest_t + (config.highest_t - config.lowest_t) * draw / std::max(1, config.draws - 1);
    Rng rng(Streams(Purpose::kLikelihood, config.seed)[static_cast<std::uint64_t>(draw)]);
    const torch::Tensor noise = normal({&rng, 1}, shape).to(there.device());
    const double bar = schedule.alpha_bar[static_cast<std::size_t>(t)];
    for (std::int64_t i = 0; i < n; i += kTogether) {
      const std::int64_t m = std::min(kTogether, n - i);
      const torch::Tensor x = there.narrow(0, i, m) * std::sqrt(bar) + noise * std::sqrt(1 - bar);
      const std::vector<torch::Tensor> eps =
          model
              .eps(x.repeat({2, 1, 1, 1}),
                   torch::full({1}, t, torch::dtype(torch::kFloat).device(x.device())),
                   texts.repeat_interleave(m, 0))
              .to(torch::kFloat)
              .chunk(2);
      const auto apart = [&](const torch::Tensor& from) { return (noise - from).square().flatten(1).sum(1); };
      sum.narrow(0, i, m) += (apart(eps[0]) - apart(eps[1])).to(torch::kCPU);
      progress.advance(m);
    }
  }
  return sum / config.draws;
}

}  // namespace diffreward
