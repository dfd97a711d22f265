// The residual MLP's forward pass and its gradient over agents/kernels; what it computes is defined in
// residual_mlp_torch.cpp. Its interface is UnetEngine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "agents/kernels/conv_program.h"

namespace diffreward {

struct ResidualMlpShape {
  int horizon, width;
  int dim, layers;
  int time_features;
};

/// T is float or double. Its functions are const and may run in several threads at once, each with a tape of
/// its own.
template <class T>
class ResidualMlpEngine {
 public:
  using Shape = ResidualMlpShape;
  struct Tape : ConvTape<T> {};

  /// Windows of a part of a training batch, and into how many parts it may fall: few, since every part
  /// writes a gradient of all weights.
  static constexpr std::int64_t kTrainingPart = 64, kMostParts = 4;
  /// Most windows of a part of any other batch: many, since equal noise levels are embedded once.
  static constexpr std::int64_t kInferencePart = 256;

  /// Whether the kernels take such a net: hidden units in multiples of 8.
  static bool supports(const ResidualMlpShape& shape) { return shape.dim % 8 == 0; }
  ResidualMlpEngine(const ResidualMlpShape& shape, ParameterIndex index);
  int time_features() const { return shape_.time_features; }
  const ConvProgram<T>& program() const { return program_; }

  /// x, y: [n][horizon][width]; time: [times][time_features], sinusoidal embeddings; which: [n], each
  /// window's, or null where every one has its own or all have the only one. With keep = false the tape
  /// serves as scratch memory only. `threads` share the outputs of each large layer.
  void forward(const PackedWeights<T>& weights, int n, const T* x, const T* time, int times, const int* which,
               T* y, Tape& tape, bool keep, int threads = 1) const;
  /// dy: [n][horizon][width] of the tape's pass. Writes `gradients` unless null, and dx, as x, unless null.
  void gradient(const PackedWeights<T>& weights, const T* dy, T* dx, T* gradients, Tape& tape) const;

 private:
  struct Norm {
    std::size_t gain, bias;  // vectors
  };
  struct Block {
    Norm norm;
    std::size_t first, second;
  };
  Norm norm_of(const std::string& name);

  ResidualMlpShape shape_;
  ConvProgram<T> program_;
  std::size_t time_, time_to_blocks_, in_, out_;
  std::vector<Block> blocks_;
  Norm norm_;
};

extern template class ResidualMlpEngine<float>;
extern template class ResidualMlpEngine<double>;

}  // namespace diffreward
