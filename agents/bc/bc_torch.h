// The inside of Bc, shared with those who clone by another loss. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <map>
#include <span>
#include <string>
#include <utility>

#include "agents/action_scale.h"
#include "agents/agent_file_torch.h"
#include "agents/bc/bc.h"
#include "agents/nets/mlp_torch.h"
#include "datasets/dataset.h"
#include "datasets/normalizer.h"

namespace diffreward {

/// Mean and deviation of actions in half-boxes.
struct BcPolicy {
  BcPolicy(const BcConfig& config, std::int64_t obs_dim, std::int64_t act_dim, Parameters of);
  torch::Tensor mean(const torch::Tensor& observation) const { return mlp(observation)[0].tanh(); }
  /// What acts: before the tanh, by Mlp::each_row.
  torch::Tensor unbounded_mean_of_each(const torch::Tensor& observation) const {
    return mlp.each_row(observation)[0];
  }
  torch::Tensor bounded_log_std() const { return log_std.clamp(-5, 2); }
  /// -log pi(a|s), dimension by dimension: [n, act_dim].
  torch::Tensor costs(const torch::Tensor& observation, const torch::Tensor& action) const;

  Parameters parameters;
  Mlp mlp;
  torch::Tensor log_std;  // [act_dim]
};

/// Recorded rows in model units.
struct BcUnits {
  /// Observations and actions of these rows, on the device.
  std::pair<torch::Tensor, torch::Tensor> rows(const Dataset& data, std::span<const std::size_t> rows) const;

  Normalizer normalizer;
  ActionScale scale;
  torch::Device device;
};

/// What a clone minimises: of behaviour cloning itself.
class BcObjective {
 public:
  virtual ~BcObjective() = default;

  virtual std::string name() const { return "BC"; }
  /// What a checkpoint must have in common with who goes on from it.
  virtual Json settings(const BcConfig& config) const { return to_json(config); }
  /// The loss on rows of the data, in model units: -log pi(a|s), mean over rows.
  virtual torch::Tensor loss(const BcPolicy& policy, const BcUnits& units, const torch::Tensor& observation,
                             const torch::Tensor& action, Rng& rng);

  /// Adds details to a line of metrics, and begins the next.
  virtual void tell(std::map<std::string, double>& details) { (void)details; }
  /// Adds to a checkpoint what is learned beside the policy, and reads it again.
  virtual void save(NamedTensors& tensors, Json& progress) const { (void)tensors, (void)progress; }
  virtual void load(const AgentFile& file) { (void)file; }
};

}  // namespace diffreward
