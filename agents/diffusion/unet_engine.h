// The Temporal U-Net's forward pass and its gradient as one hand-ordered program over agents/kernels: no
// tensors, no graph, no allocation once its buffers have grown. TemporalUnet uses it on a CPU; what it
// computes is defined there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "agents/kernels/conv_program.h"

namespace diffreward {

struct UnetShape {
  int horizon, width;
  int dim;
  std::vector<int> dim_mults;
  bool attention;
};

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of
/// its own.
template <class T>
class UnetEngine {
 public:
  using Shape = UnetShape;
  struct Tape : ConvTape<T> {
    const T* activated_time = nullptr;
  };

  /// Sequences of a part of a training batch, and into how many parts it may fall (training_part).
  static constexpr std::int64_t kTrainingPart = 32, kMostParts = 8;
  /// Most sequences of a part of any other batch: activations that stay in the cache.
  static constexpr std::int64_t kInferencePart = 32;

  /// Whether the kernels take such a net.
  static bool supports(const UnetShape&) { return true; }
  UnetEngine(const UnetShape& shape, ParameterIndex index);
  int time_features() const { return shape_.dim; }
  const ConvProgram<T>& program() const { return program_; }

  /// x, y: [n][horizon][width]; time: [times][dim], sinusoidal embeddings; which: [n], each sequence's, or
  /// null where every one has its own or all have the only one. With keep = false the tape serves as scratch
  /// memory only. `threads` share the channels of each large layer.
  void forward(const PackedWeights<T>& weights, int n, const T* x, const T* time, int times, const int* which,
               T* y, Tape& tape, bool keep, int threads = 1) const;
  /// dy: [n][horizon][width] of the tape's pass. Writes `gradients` unless null, and dx, as x, unless null.
  void gradient(const PackedWeights<T>& weights, const T* dy, T* dx, T* gradients, Tape& tape) const;

 private:
  static constexpr std::size_t kNone = ConvProgram<T>::kNone;
  using Norm = typename ConvPass<T>::Norm;

  struct Block {
    int rows, in, out;
    std::size_t first, second, time;  // convolutions
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
  struct Builder;
  struct Pass;

  UnetShape shape_;
  ConvProgram<T> program_;
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
