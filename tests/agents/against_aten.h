// What tests of the kernels against plain ATen share.
#pragma once

#include <torch/torch.h>

#include "agents/kernels/enabled.h"

namespace diffreward {

/// Turns the kernels on or off while it lives.
class Kernels {
 public:
  explicit Kernels(bool on) : before_(kernels_enabled()) { enable_kernels(on); }
  ~Kernels() { enable_kernels(before_); }

 private:
  bool before_;
};

/// The largest difference, relative to the largest number of b.
inline double relative_error(const torch::Tensor& a, const torch::Tensor& b) {
  const double scale = b.abs().max().item<double>();
  return (a - b).abs().max().item<double>() / (scale > 0 ? scale : 1);
}

}  // namespace diffreward
