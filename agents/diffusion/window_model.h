// Diffusion models over windows of behaviour: a DenoisingModel whose samples are [horizon, width] with rows
// [action, observation] (datasets/windows.h), with the normaliser between data and model units, and rows whose
// observation is given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "agents/diffusion/denoising_model.h"
#include "agents/diffusion/sampler.h"
#include "core/rng.h"
#include "datasets/normalizer.h"
#include "datasets/windows.h"

namespace diffreward {

/// One value fixed during sampling: the observation at row `time` of every window.
struct Condition {
  int time = 0;
  std::vector<float> observations;  // [n or 1, observation_dim], data units
};

class WindowModel : public DenoisingModel {
 public:
  virtual const WindowLayout& layout() const = 0;
  virtual const Normalizer& normalizer() const = 0;  ///< of one row: [width] columns, action first

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

  /// How much a guide prefers each of these windows, data units [n, horizon, width], at timestep t  ->  [n].
  std::vector<double> values(const Guide& guide, std::span<const float> windows, int t) const;

 private:
  std::vector<float> denoise(int n, std::span<const float> start, int level,
                             const std::vector<Condition>& conditions, const SampleConfig& config,
                             const Guide* guide, std::span<Rng> noise) const;
};

}  // namespace diffreward
