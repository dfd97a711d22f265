// Noise schedules and the closed forms of the diffusion process (Ho et al. 2020; Nichol and Dhariwal 2021).
//
//   x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps,   t = 0 ... T - 1;  abar_t = prod_{s <= t} (1 - beta_s)
//   q(x_{t-1} | x_t, x_0) = N(c0_t x_0 + ct_t x_t, var_t)
#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace diffreward {

struct NoiseSchedule {
  /// "cosine" (s = 0.008, betas clipped to 0.999) or "linear" (1e-4 to 0.02, scaled by 1000 / timesteps).
  /// Throws InvalidArgument for another kind or number of timesteps.
  NoiseSchedule(const std::string& kind, int timesteps);
  /// "given": anybody's betas, from least to most noise, each in (0, 1). Throws InvalidArgument for others.
  explicit NoiseSchedule(std::vector<double> betas);
  /// What tells it: kind and timesteps, and the betas where they are given.
  Json json() const;
  static NoiseSchedule from_json(const Json& json);
  static constexpr int kMostTimesteps = 10000;
  std::string kind;
  int timesteps;
  // All [timesteps].
  std::vector<double> beta, alpha_bar;
  std::vector<double> posterior_x0, posterior_xt;  // c0_t and ct_t above
  std::vector<double> posterior_variance;          // var_t = beta_t (1 - abar_{t-1}) / (1 - abar_t)

  bool operator==(const NoiseSchedule& other) const {
    return kind == other.kind && timesteps == other.timesteps && (kind != "given" || beta == other.beta);
  }

 private:
  void follow();  // all but the betas
};

}  // namespace diffreward
