// What every diffusion model can do, learned (diffusion_model.h) or known in closed form (tests): from a
// denoiser E[x_0 | x_t] follow the posterior mean, the score, and sampling with any sampler, guide and set of
// conditions.
//
// Windows are [horizon, width] with rows [action, observation] (datasets/windows.h), in model units
// (normalised). Tensors are float32 on the model's device. t counts noise levels 0 ... T - 1, from least to
// most noise.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agents/diffusion/schedule.h"
#include "agents/tensor.h"
#include "core/config.h"
#include "core/rng.h"
#include "datasets/normalizer.h"
#include "datasets/windows.h"

namespace diffreward {

class Guide;

/// One value fixed during sampling: the observation at row `time` of every window.
struct Condition {
  int time = 0;
  std::vector<float> observations;  // [n or 1, observation_dim], data units
};

struct SampleConfig {
  std::string sampler = "ddpm";  // ddpm, ddim or dpm_solver (DPM-Solver++ 2M)
  int steps = 0;                 // denoising steps, at most T; 0: all T
  double scale = 0;              // strength of the guide: x += scale * gradient (* posterior variance)
  bool scale_by_variance = false;
  std::string guide_at = "x_t";  // x_t, or x0: the predicted clean window, through the denoiser
  int guide_steps = 1;           // guide updates per denoising step
  int stop_guide_below = 0;      // no guide for t below this (the paper's t_stopgrad)
  bool clip = true;              // clip the predicted x_0 to [-1, 1] (limits normaliser only)
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("sampler", self.sampler, "ddpm, ddim, or DPM-Solver++ 2M", Choices{"ddpm", "ddim", "dpm_solver"});
    field("steps", self.steps, "denoising steps, 0 for all", Bounds{0, 10000});
    field("scale", self.scale, "strength of the guide", Bounds{-1e6, 1e6});
    field("scale_by_variance", self.scale_by_variance, "multiply the guide by the posterior variance");
    field("guide_at", self.guide_at, "guide the noised window, or the predicted clean one",
          Choices{"x_t", "x0"});
    field("guide_steps", self.guide_steps, "guide updates per denoising step", Bounds{0, 100});
    field("stop_guide_below", self.stop_guide_below, "no guide at timesteps below this", Bounds{0, 10000});
    field("clip", self.clip, "clip the predicted clean window to [-1, 1]");
    field("seed", self.seed, "seed of the noise");
  }
};

class DenoisingModel {
 public:
  virtual ~DenoisingModel() = default;

  virtual const WindowLayout& layout() const = 0;
  virtual const Normalizer& normalizer() const = 0;  ///< of one row: [width] columns, action first
  virtual const NoiseSchedule& schedule() const = 0;
  virtual const std::string& device() const = 0;  ///< "cpu" or "cuda"

  // x_t: [n, horizon, width], t: [n] int64
  /// E[x_0 | x_t]; differentiable in x_t where gradients are enabled, unlike all below.
  virtual at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const = 0;

  /// Mean of p(x_{t-1} | x_t) = c0_t x_0(x_t) + ct_t x_t.
  at::Tensor posterior_mean(const at::Tensor& x_t, const at::Tensor& t) const;
  /// grad_x log p_t(x_t) = (sqrt(abar_t) x_0(x_t) - x_t) / (1 - abar_t).
  at::Tensor score(const at::Tensor& x_t, const at::Tensor& t) const;
  /// q(x_t | x_0) with this noise.
  at::Tensor add_noise(const at::Tensor& x_0, const at::Tensor& t, const at::Tensor& noise) const;

  /// n windows in data units, [n, horizon, width] on the CPU. Conditions are in-painted at every denoising
  /// step. Window i draws its noise from noise[i], by default from stream i of the config's seed: it does not
  /// depend on the windows beside it, but for the rounding of matrix products.
  std::vector<float> sample(int n, const std::vector<Condition>& conditions, const SampleConfig& config,
                            const Guide* guide = nullptr, std::span<Rng> noise = {}) const;
  /// Windows near `start`, [n, horizon, width] in data units: noised to noise level `level`, then denoised by
  /// those of the sampler's levels that are not above it (SDEdit, Meng et al. 2022). Otherwise as sample().
  std::vector<float> sample_from(std::span<const float> start, int level,
                                 const std::vector<Condition>& conditions, const SampleConfig& config,
                                 const Guide* guide = nullptr, std::span<Rng> noise = {}) const;

 private:
  std::vector<float> denoise(int n, std::span<const float> start, int level,
                             const std::vector<Condition>& conditions, const SampleConfig& config,
                             const Guide* guide, std::span<Rng> noise) const;
};

}  // namespace diffreward
