// MLPs: policies, critics, clones.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "agents/nets/parameters_torch.h"

namespace diffreward {

struct MlpShape {
  enum class Activation : std::uint8_t { kRelu, kTanh };

  int in = 0;
  std::vector<int> hidden;
  int out = 0;
  bool layer_norm = false;
  Activation activation = Activation::kRelu;
  /// Not 0: orthogonal weights with gain sqrt(2), of the last layer with this one, and biases of 0 at first; else PyTorch's
  /// default for linear layers.
  double last_gain = 0;
};

/// Some equal nets with weights of their own that read the same rows: layers x W^T + b, each but the last followed by a
/// normalisation (Ba et al. 2016) if `layer_norm`, and the activation. On a CPU one node of LibTorch's graph, whose threads share
/// nets and rows rather than each product; its results are those of the ATen operations to rounding.
class Mlp {
 public:
  /// Layer k of net i has the parameters `name`.i.k.weight and so on, `name`.k.weight where there is one net. The
  /// parameters must stay where they are.
  Mlp(Parameters& parameters, const std::string& name, const MlpShape& shape, int nets = 1);

  /// x: [n, in] -> [nets, n, out]. Not `trained`: the parameters are constants, only x has a gradient.
  torch::Tensor operator()(const torch::Tensor& x, bool trained = true) const;

  /// The same without gradients, each row's numbers from that row alone: no bit depends on how many rows there are, where
  /// among them one stands, or threads, so that a part of a batch of instances acts as it does in the whole. On a CPU with the
  /// kernels; elsewhere it is operator(), which promises no such thing.
  torch::Tensor each_row(const torch::Tensor& x) const;

 private:
  struct Layer {
    torch::Tensor weight, bias;  // [out, in], [out]
    torch::Tensor scale, shift;  // [out], of the normalisation; undefined without
  };
  struct Node;

  torch::Tensor by_aten(const torch::Tensor& x, bool trained) const;
  bool fused(const torch::Tensor& x) const;

  const Parameters* parameters_;
  MlpShape shape_;
  std::vector<std::vector<Layer>> nets_;
};

}  // namespace diffreward
