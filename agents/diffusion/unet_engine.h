// The Temporal U-Net's forward pass and its gradient as one hand-ordered program over agents/kernels: no tensors, no
// graph, no allocation once its buffers have grown. TemporalUnet uses it on a CPU; what it computes is defined there.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agents/kernels/arena.h"
#include "agents/kernels/kernels.h"

namespace diffreward {

struct UnetShape {
  int horizon, width;
  int dim;
  std::vector<int> dim_mults;
  bool attention;
};

/// A parameter as PyTorch has it: [out, in, taps], [in, out, taps] of a transposed convolution, [out, in] or [size],
/// with the distance between neighbours along each dimension.
template <class T>
struct UnetParameter {
  T* data;
  std::ptrdiff_t strides[3];
};

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of its own.
template <class T>
class UnetEngine {
 public:
  /// `index` tells a parameter's place, by its name, in the lists of pointers that pack() and add_gradients() take.
  UnetEngine(const UnetShape& shape, const std::function<std::size_t(const std::string&)>& index);

  const UnetShape& shape() const { return shape_; }

  /// A copy of the parameters in the kernels' order.
  struct Weights {
    std::vector<T> packed, adjoint, plain;
  };
  /// A Weights to be filled by pack(job) for every job in [0, jobs()), in any order and by any threads. The adjoint
  /// part serves gradient() alone.
  Weights make_weights(bool adjoint) const;
  std::size_t jobs() const { return convs_.size() + vectors_.size(); }
  void pack(std::size_t job, const std::vector<UnetParameter<const T>>& parameters, Weights& weights) const;

  /// What a forward pass leaves for its gradient.
  class Tape {
    friend UnetEngine;
    Arena<T> arena_;
    std::vector<T*> saved_;  // a stack
    int n_ = 0, times_ = 0;
    const T* activated_time_ = nullptr;
  };

  /// x, y: [n][horizon][width]; time: [times][dim], the sinusoidal embedding, times = n or 1 where all are equal.
  /// With keep = false the tape serves as scratch memory only. `threads` share the channels of each large layer.
  void forward(const Weights& weights, int n, const T* x, const T* time, int times, T* y, Tape& tape, bool keep,
               int threads = 1) const;

  /// Numbers of the gradient buffer that gradient() writes; it must begin as zeros when it is used first.
  std::size_t gradient_size() const { return gradient_size_; }
  /// dy: [n][horizon][width] of the tape's pass. Writes `gradients` unless null, and dx, as x, unless null.
  void gradient(const Weights& weights, const T* dy, T* dx, T* gradients, Tape& tape) const;
  /// parameters[i] += sum over buffers of the gradient, for the parameters of one job.
  void add_gradients(std::size_t job, const std::vector<const T*>& buffers, const std::vector<UnetParameter<T>>& parameters) const;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};

  // A weight of taps x in x out with an optional bias.
  struct Conv {
    kernels::ConvShape shape;
    std::size_t weight, bias;              // parameters
    std::size_t packed, adjoint, plain;    // offsets in Weights
    std::size_t weight_gradient, bias_gradient;  // offsets in a gradient buffer
  };
  struct Vector {
    std::size_t parameter, size, plain, gradient;
  };
  struct Norm {
    std::size_t gain, bias;  // in vectors_
  };
  struct Block {
    int rows, in, out;
    std::size_t first, second, time;  // in convs_
    std::size_t shortcut;             // or kNone
    Norm first_norm, second_norm;
  };
  struct Attention {
    int rows, channels;
    Norm norm;
    std::size_t qkv, out;
  };
  struct Level {
    Block first, second;
    std::optional<Attention> attention;
    std::size_t resample;  // or kNone
  };
  template <class Parameter>
  static kernels::WeightStrides strides_of(const Conv& conv, const Parameter& parameter);
  struct Builder;
  struct Pass;

  UnetShape shape_;
  std::vector<Conv> convs_;
  std::vector<Vector> vectors_;
  std::size_t packed_size_ = 0, adjoint_size_ = 0, plain_size_ = 0, gradient_size_ = 0;
  std::size_t time_first_, time_second_;
  std::vector<Level> downs_, ups_;
  std::optional<Level> middle_;  // attention between its two blocks
  std::size_t final_conv_, last_conv_;
  Norm final_norm_;
  int final_rows_;
};

extern template class UnetEngine<float>;
extern template class UnetEngine<double>;

}  // namespace diffreward
