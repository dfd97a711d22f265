// The objectives of those who imitate by SAC. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <initializer_list>
#include <map>
#include <string>
#include <utility>

#include "agents/imitation/demonstrations.h"
#include "agents/imitation/imitation.h"
#include "agents/sac/sac_torch.h"

namespace diffreward {

/// An objective with demonstrations at hand.
class Imitator : public SacObjective {
 public:
  std::string name() const override { return name_; }
  Json settings() const override { return settings_; }
  void tell(std::map<std::string, double>& details) override;

 protected:
  /// `settings`: all of the config, `name` the algorithm's in the catalog.
  Imitator(const char* name, const ImitationConfig& config, Json settings, VectorEnv& env,
           const torch::Device& device);

  SacBatch demonstrated(Rng& rng, std::int64_t rows) const {
    return draw_transitions(demonstrations_, rng, rows, config_, device_);
  }
  /// Demonstrated transitions and as many of the agent's own after them, config.batch in all.
  SacBatch halves(const ReplayBuffer& memory, Rng& rng) const;
  /// Numbers [] of one update, whose means go to the line of metrics.
  void note(std::initializer_list<std::pair<const char*, torch::Tensor>> numbers);

 private:
  std::string name_;
  Json settings_;
  ReplayBuffer demonstrations_;
  std::map<std::string, std::pair<torch::Tensor, std::int64_t>> sums_;  // and how many
};

class Sqil final : public Imitator {
 public:
  Sqil(const SqilConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device);
  SacBatch batch(const ReplayBuffer& memory, Rng& rng) override;
};

}  // namespace diffreward
