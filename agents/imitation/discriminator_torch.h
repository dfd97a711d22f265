// A discriminator of rows, D(x) = sigmoid(l(x)), whose gradient in x can be trained through.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "agents/agent_file_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/nets/parameters_torch.h"

namespace diffreward {

/// tanh layers of orthogonal weights (as in the code of Kostrikov et al. 2019).
class TransitionDiscriminator {
 public:
  TransitionDiscriminator(std::int64_t width, const std::vector<int>& hidden, Seed seed,
                          const torch::Device& device);

  /// The logit l = log D - log(1 - D) of rows [n, width], [n].
  torch::Tensor logit(const torch::Tensor& x) const;
  /// dl/dx, [n, width], from the layers' own formula: a function of the parameters that backward() goes through once,
  /// where a fused or recorded gradient would have to be differentiated twice.
  torch::Tensor gradient(const torch::Tensor& x) const;

  /// mean (||dl/dx|| - 1)^2 (Gulrajani et al., "Improved training of Wasserstein GANs", 2017).
  torch::Tensor penalty(const torch::Tensor& x) const;

  const Parameters& parameters() const { return parameters_; }
  /// One step of Adam down the gradients that backward() collected.
  void step(double lr);

  /// For checkpoints, as "discriminator".
  void save(NamedTensors& tensors, Json& progress) const;
  void load(const AgentFile& file);

 private:
  struct Layer {
    torch::Tensor weight, bias;  // [out, in], [out]
  };
  static std::vector<Layer> make_layers(Parameters& parameters, std::int64_t width, std::vector<int> sizes);
  /// What each layer but the last gives.
  std::vector<torch::Tensor> activations(const torch::Tensor& x) const;

  Parameters parameters_;
  std::vector<Layer> layers_;
  Optimizer optimizer_;
};

/// -log D where `shown`, -log(1 - D) elsewhere, of logits [n]: the mean of each, added.
torch::Tensor cross_entropy(const torch::Tensor& shown, const torch::Tensor& others);

}  // namespace diffreward
