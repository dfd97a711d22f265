// HalfUnet's scalar and its gradient in the input by agents/kernels; what it computes is defined in reward_net.cpp.
#pragma once

#include <cstddef>
#include <vector>

#include "agents/kernels/conv_program.h"

namespace diffreward {

struct HalfUnetShape {
  int rows, channels;
  int time_features, time_units;
  std::vector<int> widths;  // channels after each block
};

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of its own.
template <class T>
class HalfUnetEngine {
 public:
  using Tape = ConvTape<T>;

  HalfUnetEngine(const HalfUnetShape& shape, ParameterIndex index);
  const HalfUnetShape& shape() const { return shape_; }
  const ConvProgram<T>& program() const { return program_; }

  /// The gradient of each sequence's scalar.  x, dx: [n][rows][channels]; time: [times][time_features], times = n or 1
  /// where all are equal.
  void input_gradient(const PackedWeights<T>& weights, int n, const T* x, const T* time, int times, T* dx,
                      Tape& tape) const;

 private:
  using Norm = typename ConvPass<T>::Norm;
  struct Block {
    int rows_in, rows, in, out;
    std::size_t first, second, skip, time;  // convolutions
    Norm first_norm, second_norm;
  };

  HalfUnetShape shape_;
  ConvProgram<T> program_;
  std::vector<Block> blocks_;
  std::size_t time_, hidden_, out_;
};

extern template class HalfUnetEngine<float>;
extern template class HalfUnetEngine<double>;

}  // namespace diffreward
