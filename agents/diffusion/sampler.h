// Sampling from a DenoisingModel: from noise down the levels of its schedule, by any sampler, led by a guide.
//
// Samplers differ in how they go from noise level t to the next lower one s, given x_t and the predicted x_0
// (a = sqrt(abar), b = sqrt(1 - abar); s = -1 is clean: a = 1, b = 0).
//   ddpm        x_s ~ q(x_s | x_t, x_0), the posterior, for any s < t            (Ho et al. 2020)
//   ddim        x_s = a_s x_0 + b_s (x_t - a_t x_0) / b_t                        (Song et al. 2021, eta = 0)
//   dpm_solver  x_s = (b_s / b_t) x_t - a_s (e^-h - 1) D,  h = l_s - l_t, l = log(a / b),
//               D = x_0 + (x_0 - x_0 before) / (2 r), r = h before / h           (Lu et al. 2022,
//               DPM-Solver++ 2M)
// The guide moves x_t before x_0 is predicted. At "x_t" by its own gradient there; at "x0" by
//   d guide(x_0(x_t), t = 0) / d x_t = J^T grad guide,  J = d x_0 / d x_t
// (Ho et al. 2022, Chung et al. 2023): the denoiser's Jacobian lets through what its data can do and little
// else. At "mean" it moves the posterior's mean by its gradient there, as in Diffuser. At "score" its gradient at x_t moves
// the predicted x_0 as a term of the score would (classifier guidance, Dhariwal and Nichol 2021),
//   x_0 <- x_0 + grad guide(x_t, t) / c0_t  (schedule.h),  so that of a posterior's mean mu <- mu + grad guide(x_t, t):
// with mu_expert - mu_base for the gradient and scale 1 a step of the base is the expert's, by any sampler.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "agents/diffusion/denoising_model.h"
#include "core/config.h"
#include "core/rng.h"

namespace diffreward {

class Guide;

struct SampleConfig {
  std::string sampler = "ddpm";  // ddpm, ddim or dpm_solver (DPM-Solver++ 2M)
  int steps = 0;                 // denoising steps, at most T; 0: all T
  double scale = 0;              // strength of the guide: x += scale * gradient (* posterior variance)
  bool scale_by_variance = false;
  std::string guide_at = "x_t";  // x_t, mean, score or x0: see above
  int guide_steps = 1;           // guide updates per denoising step
  int stop_guide_below = 0;      // no guide for t below this (the paper's t_stopgrad)
  double temperature = 1;        // deviation of the noise that is drawn, over the model's own
  bool clip = true;              // clip the predicted x_0 to [-1, 1] (windows: limits normaliser only)
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("sampler", self.sampler, "ddpm, ddim, or DPM-Solver++ 2M", Choices{"ddpm", "ddim", "dpm_solver"});
    field("steps", self.steps, "denoising steps, 0 for all", Bounds{0, 10000});
    field("scale", self.scale, "strength of the guide", Bounds{-1e6, 1e6});
    field("scale_by_variance", self.scale_by_variance, "multiply the guide by the posterior variance");
    field("guide_at", self.guide_at,
          "guide the noised sample, the posterior's mean (ddpm), the score, or the predicted clean sample",
          Choices{"x_t", "mean", "score", "x0"});
    field("guide_steps", self.guide_steps, "guide updates per denoising step", Bounds{0, 100});
    field("stop_guide_below", self.stop_guide_below, "no guide at timesteps below this", Bounds{0, 10000});
    field("temperature", self.temperature, "deviation of the noise that is drawn, over the model's own",
          Bounds{0, 100});
    field("clip", self.clip, "clip the predicted clean sample to [-1, 1]");
    field("seed", self.seed, "seed of the noise");
  }
};

class Sampler {
 public:
  /// Of the sampler's noise levels those that are not above `highest`. Model and guide (null: none) must live as
  /// long. Throws InvalidArgument for settings out of range and where no level is left.
  Sampler(const DenoisingModel& model, const SampleConfig& config, const Guide* guide, int highest);

  /// The noise level at which x comes in.
  int first_level() const { return levels_.front(); }
  /// x [n, ...], noised to the first level (by normal noise times temperature), turned into samples in model units. Sample i draws its noise from
  /// noise[i] ([n], or one for all). `hold` sets in x what is given, before the first step and after each.
  at::Tensor run(at::Tensor x, std::span<Rng> noise, const std::function<void(at::Tensor&)>& hold = {}) const;

 private:
  struct Transition;
  at::Tensor clipped(const at::Tensor& x0) const;
  at::Tensor guided(at::Tensor x, const at::Tensor& t, const Transition& step,
                    const std::function<void(at::Tensor&)>& hold) const;
  /// How strongly the guide moves at this step; 0 where it does not.
  double strength(const Transition& step) const;
  at::Tensor direction(const at::Tensor& x, const at::Tensor& t) const;
  at::Tensor ddpm(const at::Tensor& x, const at::Tensor& x0, const Transition& step, std::span<Rng> noise,
                  const std::function<at::Tensor(at::Tensor)>& move) const;

  const DenoisingModel& model_;
  const SampleConfig config_;
  const Guide* guide_;
  std::vector<int> levels_;
};

}  // namespace diffreward
