// The objective of DWBC. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "agents/bc/bc_torch.h"
#include "agents/imitation/demonstrations.h"
#include "agents/imitation/discriminator_torch.h"
#include "agents/imitation/dwbc.h"
#include "agents/nets/running_means_torch.h"

namespace diffreward {

/// What d minimises, []: of its values on rows of the expert and of the others, [n] each.
torch::Tensor dwbc_discriminator_loss(const torch::Tensor& expert, const torch::Tensor& others, double eta);

/// Weights of -log pi(a|s), [n] each.
struct DwbcWeights {
  torch::Tensor expert, others;
};
DwbcWeights dwbc_weights(const torch::Tensor& expert, const torch::Tensor& others, double alpha, double eta);

class Dwbc final : public BcObjective {
 public:
  Dwbc(const DwbcConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device);

  std::string name() const override { return "DWBC"; }
  Json settings(const BcConfig&) const override { return to_json(config_); }
  /// Takes a step of the discriminator too; weights are those before it, as in the authors' code.
  torch::Tensor loss(const BcPolicy& policy, const BcUnits& units, const torch::Tensor& observation,
                     const torch::Tensor& action, Rng& rng) override;
  void tell(std::map<std::string, double>& details) override { means_.tell(details); }
  void save(NamedTensors& tensors, Json& progress) const override { discriminator_.save(tensors, progress); }
  void load(const AgentFile& file) override { discriminator_.load(file); }

 private:
  DwbcConfig config_;
  Demonstrations expert_;
  TransitionDiscriminator discriminator_;
  RunningMeans means_;
};

}  // namespace diffreward
