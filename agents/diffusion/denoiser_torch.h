// The nets behind DiffusionModel, private to its sources: tensors only, no data units, no schedule. Both take
// a noised window and its timestep and return a window: what that output means (x_0, epsilon or v) is the
// model's business.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <utility>

#include "agents/diffusion/diffusion_model.h"
#include "agents/nets/parameters_torch.h"

namespace diffreward {

class DenoiserNet {
 public:
  virtual ~DenoiserNet() = default;
  /// x: [n, horizon, width], t: [n] int64  ->  [n, horizon, width]
  virtual torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const = 0;
  Parameters parameters;

 protected:
  explicit DenoiserNet(Parameters initial) : parameters(std::move(initial)) {}
};

/// The net that `config` names, its weights from `parameters`. Throws InvalidArgument where its sizes do not
/// fit the layout.
std::unique_ptr<DenoiserNet> make_denoiser(const DiffusionConfig& config, const WindowLayout& layout,
                                           Parameters parameters);

}  // namespace diffreward
