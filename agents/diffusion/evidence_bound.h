// How likely a model holds windows, as a lower bound (Ho et al. 2020, equation 5).
//
//   log p(window | its first observation) >= c - sum over t of k_t E || x_0 - x_0(x_t) ||^2,
//   k_t = c0_t^2 / (2 var_t) for t > 0 (schedule.h),  k_0 = 1 / (2 beta_0)
//
// over all numbers of a window but its first observation, which stays as it is. Of windows of one model the constant c
// is the same, so that the bound can choose among candidates: the best of N by the model's own likelihood is what a
// reward has to be better than.
#pragma once

#include <cstdint>

#include "agents/diffusion/window_model.h"
#include "agents/guide.h"

namespace diffreward {

class EvidenceBound final : public Guide {
 public:
  /// The model must live as long. At every t one noise stands for the expectation, the same for all windows, so that
  /// their differences are those of the windows.
  explicit EvidenceBound(const WindowModel& model, std::uint64_t seed = 0);
  /// The bound less c, nats.  x: [n, horizon, width] clean windows, model units; t is not read  ->  [n]
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override;

 private:
  const WindowModel& model_;
  std::uint64_t seed_;
};

}  // namespace diffreward
