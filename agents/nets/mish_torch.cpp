#include "agents/nets/mish_torch.h"

#include <torch/torch.h>

namespace diffreward {
namespace {

class Mish : public torch::autograd::Function<Mish> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x) {
    context->save_for_backward({x});
    const torch::Tensor p = x.sigmoid(), s = 1 - p;
    return p / (s * s + 1) * (s + 1) * x;
  }

  // mish'(x) = p / d (1 + s + 4 x s^2 / d) with d = 1 + s^2. Starts again from x, so that it can itself be
  // differentiated.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradient) {
    const torch::Tensor x = context->get_saved_variables()[0];
    const torch::Tensor p = x.sigmoid(), s = 1 - p, s2 = s * s, d = s2 + 1;
    return {p / d * torch::addcdiv(s + 1, x * s2, d, 4) * gradient[0]};
  }
};

}  // namespace

torch::Tensor fast_mish(const torch::Tensor& x) {
  return Mish::apply(x);
}

}  // namespace diffreward
