// One draw from a Gaussian policy N(mean, exp(log_std)^2).
#pragma once

#include <cmath>
#include <numbers>
#include <span>

#include "core/rng.h"

namespace diffreward {

/// Adds noise to `action` [dim], the mean; returns the draw's log-density in nats, per unit of the action.
inline double draw_gaussian(std::span<double> action, std::span<const float> log_std, Rng& rng) {
  double log_density = 0;
  for (std::size_t j = 0; j < action.size(); ++j) {
    const double noise = rng.normal(), log_deviation = double{log_std[j]};
    action[j] += std::exp(log_deviation) * noise;
    log_density -= 0.5 * noise * noise + log_deviation + 0.5 * std::log(2 * std::numbers::pi);
  }
  return log_density;
}

}  // namespace diffreward
