// What nets of 1-D convolutions and group normalisations share: their weights in the kernels' order, and the
// steps of a pass over them, forward and back. UnetEngine and HalfUnetEngine are orders of such steps.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "agents/kernels/arena.h"
#include "agents/kernels/kernels.h"

namespace diffreward {

/// A parameter as PyTorch has it: [out, in, taps], [in, out, taps] of a transposed convolution, [out, in] or
/// [size], with the distance between neighbours along each dimension.
template <class T>
struct ParameterView {
  T* data;
  std::ptrdiff_t strides[3];
};

/// A copy of a net's parameters in the kernels' order.
template <class T>
struct PackedWeights {
  std::vector<T> packed, adjoint, plain;
};

/// Tells a parameter's place, by its name, in the lists that pack() and add_gradients() take.
using ParameterIndex = std::function<std::size_t(const std::string& name)>;

template <class T>
class ConvProgram {
 public:
  static constexpr std::size_t kNone = ~std::size_t{0};

  explicit ConvProgram(ParameterIndex index) : index_(std::move(index)) {}

  /// A convolution or linear layer, `name`.weight and `name`.bias; returns its number.
  std::size_t conv(const std::string& name, const kernels::ConvShape& shape, bool with_bias = true);
  std::size_t linear(const std::string& name, int in, int out) {
    return conv(name, {.in = in, .out = out, .taps = 1, .stride = 1, .pad = 0, .rows_in = 1, .rows_out = 1});
  }
  /// One that keeps the number of rows.
  std::size_t same(const std::string& name, int in, int out, int taps, int rows, bool with_bias = true) {
    return conv(
        name,
        {.in = in, .out = out, .taps = taps, .stride = 1, .pad = taps / 2, .rows_in = rows, .rows_out = rows},
        with_bias);
  }
  /// A vector of one number per channel; returns its number.
  std::size_t vector(const std::string& name, int size);
  const kernels::ConvShape& shape(std::size_t conv) const { return convs_[conv].shape; }
  /// Numbers per sequence of the largest input of a layer.
  std::size_t largest_input() const;

  /// To be filled by pack(job) for every job in [0, jobs()), in any order and by any threads. The adjoint
  /// part serves gradients alone.
  PackedWeights<T> make_weights(bool adjoint) const {
    return {std::vector<T>(packed_size_), std::vector<T>(adjoint ? adjoint_size_ : 0),
            std::vector<T>(plain_size_)};
  }
  std::size_t jobs() const { return convs_.size() + vectors_.size(); }
  void pack(std::size_t job, const std::vector<ParameterView<const T>>& parameters,
            PackedWeights<T>& weights) const;

  /// Numbers of a gradient buffer; it must begin as zeros when it is used first.
  std::size_t gradient_size() const { return gradient_size_; }
  /// Readies a buffer for a pass back.
  void begin_gradients(T* gradients) const;
  /// parameters[i] += sum over buffers of the gradient, for the parameters of one job.
  void add_gradients(std::size_t job, const std::vector<const T*>& buffers,
                     const std::vector<ParameterView<T>>& parameters) const;

 private:
  template <class>
  friend class ConvPass;

  struct Conv {
    kernels::ConvShape shape;
    std::size_t weight, bias;                    // parameters
    std::size_t packed, adjoint, plain;          // offsets in PackedWeights
    std::size_t weight_gradient, bias_gradient;  // offsets in a gradient buffer
  };
  struct Vector {
    std::size_t parameter, size, plain, gradient;
  };
  template <class Parameter>
  static kernels::WeightStrides strides_of(const Conv& conv, const Parameter& parameter);

  ParameterIndex index_;
  std::vector<Conv> convs_;
  std::vector<Vector> vectors_;
  std::size_t packed_size_ = 0, adjoint_size_ = 0, plain_size_ = 0, gradient_size_ = 0;
};

/// What a pass forward leaves for the pass back: memory, and pointers into it as a stack.
template <class T>
struct ConvTape {
  Arena<T> arena;
  std::vector<T*> saved;
  int n = 0, times = 0;    // sequences; time embeddings
  std::vector<int> which;  // [n] the embedding that each sequence has; empty: its own, or the only one

  /// `of` is null, or tells [n] which embedding each sequence has.
  void begin(int sequences, int embeddings, const int* of = nullptr) {
    arena.clear();
    saved.clear();
    n = sequences;
    times = embeddings;
    which.clear();
    if (of && embeddings > 1) which.assign(of, of + sequences);
  }
  /// The embedding of sequence i.
  std::ptrdiff_t row_of(int i) const { return !which.empty() ? which[std::size_t(i)] : times == 1 ? 0 : i; }
};

/// One pass over a part of a batch. Activations are [rows][n][channels].
template <class T>
class ConvPass {
 public:
  /// A forward pass; `threads` share the channels of each large layer.
  ConvPass(const ConvProgram<T>& program, const PackedWeights<T>& weights, ConvTape<T>& tape, int threads = 1)
      : program_(program), weights_(weights), tape_(tape), threads_(threads) {}
  /// The pass back. `gradients` may be null: then only those in activations are computed.
  ConvPass(const ConvProgram<T>& program, const PackedWeights<T>& weights, ConvTape<T>& tape, T* gradients)
      : program_(program), weights_(weights), tape_(tape), gradients_(gradients), saved_(tape.saved) {
    if (gradients) program.begin_gradients(gradients);
  }

  int n() const { return tape_.n; }
  int times() const { return tape_.times; }
  bool wants_parameters() const { return gradients_ != nullptr; }
  std::size_t size(int rows, int channels) const {
    return std::size_t(rows) * std::size_t(tape_.n) * std::size_t(channels);
  }
  T* take(std::size_t count) { return tape_.arena.take(count); }
  typename Arena<T>::Mark mark() const { return tape_.arena.mark(); }
  void rewind(typename Arena<T>::Mark mark) { tape_.arena.rewind(mark); }
  void push(std::initializer_list<T*> kept) { tape_.saved.insert(tape_.saved.end(), kept); }
  T* pop() {
    T* const last = saved_.back();
    saved_.pop_back();
    return last;
  }
  const T* plain(std::size_t vector) const { return weights_.plain.data() + program_.vectors_[vector].plain; }
  T* gradient_of(std::size_t vector) const {
    return gradients_ ? gradients_ + program_.vectors_[vector].gradient : nullptr;
  }

  /// Rows of time embeddings, [times][width], as each sequence has them: [n][width], or [1][width] for one
  /// for all.
  T* by_sequence(T* rows, int width);
  /// Its reverse: sums of the rows of sequences, [n][width], by embedding, [times][width].
  T* by_time(T* rows, int width);

  /// y (+)= conv(x), over `count` sequences.
  void apply(std::size_t conv, int count, const T* x, bool add, T* y) const;
  void apply(std::size_t conv, const T* x, T* y) const { apply(conv, n(), x, false, y); }
  /// The same without the bias: dy (+)= the layer's tangent along dx.
  void apply_tangent(std::size_t conv, int count, const T* dx, bool add, T* dy) const;
  void weight_gradient(std::size_t conv, int count, const T* x, const T* dy) const;
  /// Adds the share of a product of a second input and gradient, in which the bias has no part.
  void add_weight_gradient(std::size_t conv, int count, const T* x, const T* dy) const;
  void input_gradient(std::size_t conv, int count, const T* dy, bool add, T* dx) const;

  struct Norm {
    std::size_t gain, bias;  // vectors
    kernels::Activation act;
  };
  static constexpr int kGroups = 8;
  /// Room for what norm() leaves for norm_gradient().
  T* take_stats() { return take(2 * kGroups * std::size_t(n())); }
  /// y = act(group_norm(u)) + shift + residual; shift is [times][channels] or null.
  void norm(const Norm& norm, int rows, int channels, const T* u, const T* shift, const T* residual, T* y,
            T* stats) const;
  /// dshift: [n][channels] or null.
  void norm_gradient(const Norm& norm, int rows, int channels, const T* u, const T* stats, const T* dy, T* du,
                     T* dshift) const;
  /// The tangent of norm() along du and, with it, the reverse of both (kernels.h). `means` has room for
  /// take_stats().
  void norm_tangent(const Norm& norm, int rows, int channels, const T* u, const T* stats, const T* du,
                    const T* residual, T* dy, T* means) const;
  void norm_tangent_gradient(const Norm& norm, int rows, int channels, const T* u, const T* stats,
                             const T* du, const T* means, const T* y_adjoint, const T* dy_adjoint,
                             T* u_adjoint, T* dshift) const;

  const kernels::Kernels<T>& k = kernels::kernels<T>();

 private:
  const ConvProgram<T>& program_;
  const PackedWeights<T>& weights_;
  ConvTape<T>& tape_;
  T* gradients_ = nullptr;
  std::vector<T*> saved_;  // of the tape, what is left to go back through
  int threads_ = 1;
};

/// [a][b][width] -> [b][a][width]
template <class T>
void swap_axes(int a, int b, int width, const T* x, T* y) {
  for (int i = 0; i < a; ++i)
    for (int j = 0; j < b; ++j)
      std::copy_n(x + (std::ptrdiff_t(i) * b + j) * width, width, y + (std::ptrdiff_t(j) * a + i) * width);
}

extern template class ConvProgram<float>;
extern template class ConvProgram<double>;
extern template class ConvPass<float>;
extern template class ConvPass<double>;

}  // namespace diffreward
