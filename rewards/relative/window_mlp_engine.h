// The input gradient of WindowMlp's scalar and, for gradient matching, that gradient's own gradient in the
// weights, by agents/kernels. With m(x) for one row x of `in` numbers, b_1 different for every sequence:
//
//   m(x) = w . h_L,  h_l = silu(a_l),  a_l = W_l h_(l-1) + b_l,  h_0 = x
//   G(x) = dm/dx = W_1^T g_1,  g_l = silu'(a_l) * u_l,  u_l = W_(l+1)^T g_(l+1),  u_L = w
//
// docs/design/0002-training-rho.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "agents/kernels/conv_program.h"

namespace diffreward {

struct WindowMlpShape {
  int in;  // numbers per row
  int time_features;
  std::vector<int> hidden;
};

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of
/// its own.
template <class T>
class WindowMlpEngine {
 public:
  using Shape = WindowMlpShape;
  /// What input_gradient() leaves for parameter_gradient(): by layer the numbers of the formulas above.
  struct Tape : ConvTape<T> {
    struct Layer {
      T *a, *h, *slope, *g;
      const T* u;
      std::ptrdiff_t u_stride;  // between rows: 0 where all have the same
    };
    std::vector<Layer> layers;
    int rows = 0;
    T *x = nullptr, *time = nullptr;
  };
  /// Sequences of a batch whose activations stay in the cache, and into how many such parts a batch may fall.
  static std::int64_t part(std::int64_t rows) { return rows < 128 ? 128 / rows : 1; }
  static constexpr std::int64_t kMostParts = 16;

  WindowMlpEngine(const WindowMlpShape& shape, ParameterIndex index);
  const ConvProgram<T>& program() const { return program_; }
  bool takes(std::int64_t rows, std::int64_t channels) const { return rows > 0 && channels == shape_.in; }

  /// G of every row.  x, dx: [n][rows][in]; time: [times][time_features], times = n or 1 where all are equal.
  void input_gradient(const PackedWeights<T>& weights, int n, int rows, const T* x, const T* time, int times,
                      T* dx, Tape& tape) const;
  /// Of sum over sequences and rows of <v, G>, the gradient in the weights. After an input_gradient() with
  /// times = n. v: [n][rows][in]; gradients: see ConvProgram::gradient_size().
  void parameter_gradient(const PackedWeights<T>& weights, const T* v, T* gradients, Tape& tape) const;

 private:
  WindowMlpShape shape_;
  ConvProgram<T> program_;
  std::size_t time_, out_;
  std::vector<std::size_t> layers_;
};

extern template class WindowMlpEngine<float>;
extern template class WindowMlpEngine<double>;

}  // namespace diffreward
