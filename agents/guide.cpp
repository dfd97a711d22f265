#include "agents/guide.h"

#include <torch/torch.h>

namespace diffreward {

at::Tensor Guide::gradient(const at::Tensor& x, const at::Tensor& t) const {
  const torch::AutoGradMode on(true);
  const torch::Tensor input = x.detach().requires_grad_(true);
  return torch::autograd::grad({value(input, t).sum()}, {input})[0];
}

}  // namespace diffreward
