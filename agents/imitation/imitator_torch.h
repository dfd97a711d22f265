// The objectives of those who imitate by SAC. Includes LibTorch: private to sources.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "agents/imitation/demonstrations.h"
#include "agents/imitation/discriminator_torch.h"
#include "agents/imitation/imitation.h"
#include "agents/nets/running_means_torch.h"
#include "agents/sac/sac_torch.h"

namespace diffreward {

/// An objective with demonstrations at hand.
class Imitator : public SacObjective {
 public:
  std::string name() const override { return name_; }
  Json settings() const override { return settings_; }
  void tell(std::map<std::string, double>& details) override { means_.tell(details); }

 protected:
  /// `settings`: all of the config, `name` the algorithm's in the catalog.
  Imitator(const char* name, const ImitationConfig& config, Json settings, VectorEnv& env,
           const torch::Device& device);

  SacBatch demonstrated(Rng& rng, std::int64_t rows) const {
    return draw_transitions(demonstrations_, rng, rows, config_, device_);
  }
  /// Throws InvalidArgument for a batch that has no halves.
  void require_halves() const;
  /// Demonstrated transitions and as many of the agent's own after them, config.batch in all.
  SacBatch halves(const ReplayBuffer& memory, Rng& rng) const;

  RunningMeans means_;  // of a line of metrics

 private:
  std::string name_;
  Json settings_;
  ReplayBuffer demonstrations_;
};

class Sqil final : public Imitator {
 public:
  Sqil(const SqilConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device);
  SacBatch batch(const ReplayBuffer& memory, Rng& rng) override;
};

/// Pays by a discriminator that it trains.
class Adversarial : public Imitator {
 public:
  SacBatch batch(const ReplayBuffer& memory, Rng& rng) override;
  void save(NamedTensors& tensors, Json& progress) const override { discriminator_.save(tensors, progress); }
  void load(const AgentFile& file) override { discriminator_.load(file); }

  /// What logits log D - log(1 - D) are paid.
  virtual torch::Tensor pay(const torch::Tensor& logit) const = 0;
  const TransitionDiscriminator& discriminator() const { return discriminator_; }

 protected:
  Adversarial(const char* name, const AdversarialConfig& config, VectorEnv& env, std::uint64_t seed,
              const torch::Device& device);

 private:
  /// One step on rows [n, observation and action] of both.
  void train(const torch::Tensor& shown, const torch::Tensor& own, Rng& rng);

  double lr_, penalty_;
  TransitionDiscriminator discriminator_;
};

class Gail final : public Adversarial {
 public:
  Gail(const GailConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device)
      : Adversarial("gail", config, env, seed, device) {}
  /// -log(1 - D)
  torch::Tensor pay(const torch::Tensor& logit) const override { return torch::softplus(logit); }
};

class Airl final : public Adversarial {
 public:
  Airl(const AirlConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device)
      : Adversarial("airl", config, env, seed, device) {}
  torch::Tensor pay(const torch::Tensor& logit) const override { return logit; }
};

/// The critics' loss of IQ-Learn, []. value: Q_k(s, a) [k, n], of which the first `shown` rows are demonstrated;
/// state_value: V(s) [n]; next: gamma V(s') [n].
torch::Tensor iq_learn_loss(const torch::Tensor& value, const torch::Tensor& state_value,
                            const torch::Tensor& next, std::int64_t shown, const IqLearnConfig& config);

class IqLearn final : public Imitator {
 public:
  IqLearn(const IqLearnConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device);
  double actor_lr() const override { return iq_learn_.actor_lr; }
  SacBatch batch(const ReplayBuffer& memory, Rng& rng) override { return halves(memory, rng); }
  torch::Tensor critic_loss(const SacStep& step) override;

 private:
  IqLearnConfig iq_learn_;
};

}  // namespace diffreward
