// The input gradient of a scalar MLP, and the gradient of a function of it in the weights, by agents/kernels:
//
//   m(x) = w . h_L,  h_l = silu(a_l),  a_l = W_l h_(l-1) + b_l,  h_0 = x,  b_1 different for every sample
//   G(x) = dm/dx = W_1^T g_1,  g_l = silu'(a_l) * u_l,  u_l = W_(l+1)^T g_(l+1),  u_L = w
//
// docs/design/0002-training-rho.md
#pragma once

#include <cstddef>
#include <vector>

#include "agents/kernels/arena.h"
#include "agents/kernels/kernels.h"

namespace diffreward {

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of its own.
template <class T>
class MlpGradient {
 public:
  /// b_1 is a linear layer of `features` numbers per sample.
  MlpGradient(int in, int features, const std::vector<int>& hidden);

  /// Where the weights lie, or their gradients: [out][in] each, biases [out]. Layer 0 is that of the features, layer l
  /// is W_l and b_l, where b_1 is null; the last entry is w, whose bias is null.
  struct Layer {
    T *weight, *bias;
  };
  std::size_t layers() const { return sizes_.size(); }

  /// A copy of the weights in the kernels' order.
  struct Weights {
    std::vector<std::vector<T>> packed, adjoint;  // by layer
    std::vector<std::vector<T>> bias;
  };
  Weights pack(const std::vector<Layer>& layers) const;

  class Tape {
    friend MlpGradient;
    Arena<T> arena_;
    int n_ = 0, rows_ = 0;
    const T *x_ = nullptr, *features_ = nullptr;
    std::vector<const T*> a_, h_, slope_, u_, g_;  // by layer, from 1
  };

  /// x: [n][rows][in], features: [n][features], both to stay in place until the tape's last use; gradient: as x.
  void forward(const Weights& weights, int n, int rows, const T* x, const T* features, T* gradient, Tape& tape) const;
  /// above: derivative of a scalar in what forward() wrote. Adds the scalar's derivative in the weights to `out`, which
  /// has null where it is not wanted.
  void backward(const Weights& weights, const T* above, const std::vector<Layer>& out, Tape& tape) const;

 private:
  struct Size {
    int in, out;
  };
  static kernels::ConvShape shape(const Size& size) {
    return {.in = size.in, .out = size.out, .taps = 1, .stride = 1, .pad = 0, .rows_in = 1, .rows_out = 1};
  }
  std::vector<Size> sizes_;  // by layer; the last is that of w
};

extern template class MlpGradient<float>;
extern template class MlpGradient<double>;

}  // namespace diffreward
