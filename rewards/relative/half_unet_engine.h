// HalfUnet's scalar, its gradient in the input and, for gradient matching, that gradient's own gradient in
// the parameters, by agents/kernels; what it computes is defined in reward_net_torch.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "agents/kernels/conv_program.h"

namespace diffreward {

struct HalfUnetShape {
  int rows, channels;
  int time_features, time_units;
  std::vector<int> widths;  // channels after each block
};

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of
/// its own.
template <class T>
class HalfUnetEngine {
 public:
  using Shape = HalfUnetShape;
  /// What input_gradient() leaves for parameter_gradient(). Of a block: its input, the outputs of its three
  /// steps before and after normalisation, and the scalar's derivatives in them. Of the head: what goes in
  /// and what comes out.
  struct Tape : ConvTape<T> {
    struct Block {
      T *h, *u1, *first, *u2, *stats1, *stats2;
      T *above, *du2, *dfirst, *du1;
    };
    std::vector<Block> blocks;
    T *time, *embedding, *embedding_slope;
    T *pooled, *z, *slope, *dz;
  };

  /// Sequences of a batch whose activations stay in the cache, and into how many such parts a batch may fall.
  static std::int64_t part(std::int64_t /*rows*/) { return 32; }
  static constexpr std::int64_t kMostParts = 8;

  HalfUnetEngine(const HalfUnetShape& shape, ParameterIndex index);
  const ConvProgram<T>& program() const { return program_; }
  bool takes(std::int64_t rows, std::int64_t channels) const {
    return rows == shape_.rows && channels == shape_.channels;
  }

  /// The gradient of each sequence's scalar.  x, dx: [n][rows][channels], rows as takes() says; time:
  /// [times][time_features], times = n or 1 where all are equal.
  void input_gradient(const PackedWeights<T>& weights, int n, int rows, const T* x, const T* time, int times,
                      T* dx, Tape& tape) const;
  /// Of sum over sequences of <v, dx>, the gradient in the parameters: the scalar's tangent along v, pass by
  /// pass beside the scalar, and its reverse (docs/design/0007-kernels.md). After an input_gradient() with
  /// times = n. v: [n][rows][channels]; gradients: see ConvProgram::gradient_size().
  void parameter_gradient(const PackedWeights<T>& weights, const T* v, T* gradients, Tape& tape) const;

 private:
  using Norm = typename ConvPass<T>::Norm;
  struct Block {
    int rows_in, rows, in, out;
    std::size_t first, second, skip, time;  // convolutions
    Norm first_norm, second_norm;
  };
  /// d scalar / d head output: the head's output counts times the number of rows, which undoes the mean's
  /// share; the mean over the last rows comes in here, too.
  T head_weight() const { return T(shape_.rows) / T(blocks_.back().rows); }

  HalfUnetShape shape_;
  ConvProgram<T> program_;
  std::vector<Block> blocks_;
  std::size_t time_, hidden_, out_;
};

extern template class HalfUnetEngine<float>;
extern template class HalfUnetEngine<double>;

}  // namespace diffreward
