// A guide: a differentiable preference over noised windows, used to steer sampling. Declared here so that
// planners need not know rewards; RelativeReward and the discriminator (rewards/) implement it.
#pragma once

#include "agents/tensor.h"

namespace diffreward {

class Guide {
 public:
  virtual ~Guide() = default;
  /// How much each window is preferred.  x: [n, horizon, width] model units, t: [n] int64 timesteps  ->  [n]
  virtual at::Tensor value(const at::Tensor& x, const at::Tensor& t) const = 0;
  /// d value / d x of each window, [n, horizon, width]. By default one backward pass through value().
  virtual at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const;
};

}  // namespace diffreward
