#include "agents/imitation/dwbc.h"

#include <torch/torch.h>

#include "agents/device.h"
#include "agents/imitation/dwbc_torch.h"

namespace diffreward {
namespace {

constexpr double kLowest = 0.1, kHighest = 0.9;  // of d
constexpr double kNats = 10;  // of a dimension's log pi, at most, that the discriminator is shown

}  // namespace

torch::Tensor dwbc_discriminator_loss(const torch::Tensor& expert, const torch::Tensor& others, double eta) {
  return eta * ((1 - expert).log() - expert.log()).mean() - (1 - others).log().mean();
}

DwbcWeights dwbc_weights(const torch::Tensor& expert, const torch::Tensor& others, double alpha, double eta) {
  return {alpha - 1 - eta / (expert * (1 - expert)), others / (1 - others) * (others >= 0.5)};
}

Dwbc::Dwbc(const DwbcConfig& config, VectorEnv& env, std::uint64_t seed, const torch::Device& device)
    : config_(config),
      expert_(open_demonstrations("expert_data", config.expert_data, config.episodes, env.spec())),
      discriminator_(static_cast<std::int64_t>(env.spec().observation.size() + 2 * env.spec().action.size()),
                     config.discriminator_hidden, Streams(Purpose::kAgentWeights, seed)[1], device) {}

torch::Tensor Dwbc::loss(const BcPolicy& policy, const BcUnits& units, const torch::Tensor& observation,
                         const torch::Tensor& action, Rng& rng) {
  std::vector<std::size_t> rows(static_cast<std::size_t>(config_.bc.batch));
  for (std::size_t& row : rows) row = rng.below(expert_.rows);
  const auto [expert_observation, expert_action] = units.rows(expert_.data, rows);
  const torch::Tensor observations = torch::cat({expert_observation, observation}),
                      actions = torch::cat({expert_action, action});
  const torch::Tensor costs = policy.costs(observations, actions);
  const torch::Tensor shown = costs.detach().clamp(-kNats, kNats) / -kNats;
  const torch::Tensor d =
      discriminator_.logit(torch::cat({observations, actions, shown}, 1)).sigmoid().clamp(kLowest, kHighest);
  const std::int64_t n = config_.bc.batch;
  const torch::Tensor expert = d.narrow(0, 0, n), others = d.narrow(0, n, n);
  const torch::Tensor told = dwbc_discriminator_loss(expert, others, config_.eta);
  told.backward();
  discriminator_.step(config_.discriminator_lr);
  const DwbcWeights weights = dwbc_weights(expert.detach(), others.detach(), config_.alpha, config_.eta);
  means_.add({{"discriminator_loss", told},
              {"d_expert", expert.mean()},
              {"d_data", others.mean()},
              {"data_cloned", (weights.others > 0).to(torch::kFloat).mean()}});
  return (torch::cat({weights.expert, weights.others}) * costs.sum(1)).sum() / static_cast<double>(n);
}

std::unique_ptr<Bc> make_learner(const DwbcConfig& config, VectorEnv& env, std::uint64_t seed,
                                 const std::string& device) {
  validate(config);
  check_device(device);
  return std::make_unique<Bc>(env, config.bc, seed, device,
                              std::make_unique<Dwbc>(config, env, seed, torch::Device(device)));
}

std::unique_ptr<LearningAgent> load_agent(const DwbcConfig&, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device) {
  return Bc::load(path, env, device);
}

}  // namespace diffreward
