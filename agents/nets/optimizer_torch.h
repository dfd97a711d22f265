// AdamW (Loshchilov and Hutter 2019) and the exponential moving average of the weights, over all parameters
// of a net as one vector: one pass over it a step, and four tensors that say everything a checkpoint needs.
#pragma once

#include <torch/torch.h>

#include <string_view>

#include "agents/nets/parameters_torch.h"
#include "agents/nets/tensor_file_torch.h"

namespace diffreward {

struct OptimizerSettings {
  double lr = 1e-3;
  double weight_decay = 1e-4;
  double ema = 0.995;        // decay of the averaged weights
  double gradient_clip = 1;  // largest gradient norm; 0 for none
  bool young_ema = true;     // a young average forgets faster: short runs are rid of the initial weights
  double epsilon = 1e-8;     // beside the root of the second moment
};

/// The learning rate after a share of the training, progress in [0, 1]: "constant" keeps `first`; "linear" and "cosine" (Loshchilov
/// and Hutter 2017, without restarts) fall to 0.
double scheduled_rate(double first, std::string_view schedule, double progress);

class Optimizer {
 public:
  /// Flattens both nets; gradients of `net` collect in one vector. `average`, a net of the same parameters or none,
  /// ends up with the averaged weights.
  explicit Optimizer(Parameters& net, Parameters* average = nullptr);

  /// What backward() adds to, [count].
  const torch::Tensor& gradient() const { return gradient_; }
  /// Euclidean norm of the gradient.
  double gradient_norm() const;
  /// One step with the gradient, of the norm given, scaled down to gradient_clip. The
  /// gradient is zero afterwards, ready for the next backward().
  void step(const OptimizerSettings& settings, double norm);

  std::int64_t steps() const { return steps_; }
  /// weights, ema (where there is one), adam_m, adam_v: each [count].
  NamedTensors state() const;
  /// Restores that, from tensors named `prefix` + name. Throws Error naming `file` and the tensor that does not fit.
  void restore(const Safetensors& state, std::int64_t steps, const std::filesystem::path& file,
               const std::string& prefix = "");
  /// Where state() was filled by other means: the steps that it has seen.
  void resume_at(std::int64_t steps) { steps_ = steps; }

 private:
  torch::Tensor weights_, average_;  // views into the nets; the latter undefined where there is none
  torch::Tensor gradient_, m_, v_;
  std::int64_t steps_ = 0;
};

}  // namespace diffreward
