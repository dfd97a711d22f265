// Actions as policies give them, in half-boxes, and as environments take them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "envs/env.h"

namespace diffreward {

/// Maps the action box to [-1, 1]^dim; dimensions without finite bounds are left as they are.
struct ActionScale {
  explicit ActionScale(const Box& action_box) : box(action_box) {
    for (std::size_t j = 0; j < box.size(); ++j) {
      const bool finite = std::isfinite(box.low[j]) && std::isfinite(box.high[j]);
      middle.push_back(finite ? 0.5 * (box.low[j] + box.high[j]) : 0.0);
      half.push_back(finite ? 0.5 * (box.high[j] - box.low[j]) : 1.0);
    }
  }
  /// Clipped to the box.
  double to_task(std::size_t j, double action) const {
    return std::clamp(middle[j] + half[j] * action, box.low[j], box.high[j]);
  }
  double from_task(std::size_t j, double action) const { return (action - middle[j]) / half[j]; }
  /// Log of a half-box's volume: what a log-density per half-boxes is more than one per task units.
  double log_volume() const {
    double sum = 0;
    for (const double h : half) sum += std::log(h);
    return sum;
  }
  Box box;
  std::vector<double> middle, half;
};

}  // namespace diffreward
