#include <torch/torch.h>

#include "agents/device.h"
#include "agents/imitation/imitator_torch.h"
#include "agents/numbers_torch.h"

namespace diffreward {
namespace {

Json named(Json settings, const char* name) {
  settings["algorithm"] = name;
  return settings;
}

SacBatch joined(const SacBatch& a, const SacBatch& b) {
  return {torch::cat({a.observation, b.observation}), torch::cat({a.action, b.action}),
          torch::cat({a.reward, b.reward}), torch::cat({a.discount, b.discount}),
          torch::cat({a.next_observation, b.next_observation})};
}

template <class Objective, class Config>
std::unique_ptr<Sac> make_imitator(const Config& config, VectorEnv& env, std::uint64_t seed,
                                   const std::string& device) {
  validate(config);
  check_device(device);
  return std::make_unique<Sac>(env, config.sac, seed, device,
                               std::make_unique<Objective>(config, env, seed, torch::Device(device)));
}

}  // namespace

Imitator::Imitator(const char* name, const ImitationConfig& config, Json settings, VectorEnv& env,
                   const torch::Device& device)
    : SacObjective(config.sac, device, config.absorbing),
      name_(name),
      settings_(named(std::move(settings), name)),
      demonstrations_(remember_demonstrations(config.data, config.episodes, env.spec(), config.absorbing)) {
  require(config.sac.n_step == 1, "n_step: expected 1, since ", name, " pays single steps, got ",
          config.sac.n_step);
}

void Imitator::require_halves() const {
  require(config_.batch % 2 == 0, "batch: expected an even number, half of it demonstrated, got ",
          config_.batch);
}

SacBatch Imitator::halves(const ReplayBuffer& memory, Rng& rng) const {
  const std::int64_t half = config_.batch / 2;
  const SacBatch shown = demonstrated(rng, half);
  return joined(shown, draw_transitions(memory, rng, half, config_, device_));
}

// ---- SQIL ----

Sqil::Sqil(const SqilConfig& config, VectorEnv& env, std::uint64_t, const torch::Device& device)
    : Imitator("sqil", config, to_json(config), env, device) {
  require_halves();
}

SacBatch Sqil::batch(const ReplayBuffer& memory, Rng& rng) {
  SacBatch batch = halves(memory, rng);
  const torch::Tensor own = torch::zeros_like(batch.reward.narrow(0, 0, config_.batch / 2));
  batch.reward = torch::cat({own + 1, own});
  return batch;
}

// ---- GAIL and AIRL ----

Adversarial::Adversarial(const char* name, const AdversarialConfig& config, VectorEnv& env,
                         std::uint64_t seed, const torch::Device& device)
    : Imitator(name, config, to_json(config), env, device),
      lr_(config.discriminator_lr),
      penalty_(config.penalty),
      discriminator_(static_cast<std::int64_t>(env.spec().observation.size() + env.spec().action.size()) +
                         (config.absorbing ? 1 : 0),
                     config.discriminator_hidden, Streams(Purpose::kAgentWeights, seed)[2], device) {}

void Adversarial::train(const torch::Tensor& shown, const torch::Tensor& own, Rng& rng) {
  const std::int64_t n = own.size(0);
  const torch::Tensor logit = discriminator_.logit(torch::cat({shown, own}));
  torch::Tensor loss = cross_entropy(logit.narrow(0, 0, n), logit.narrow(0, n, n));
  means_.add({{"discriminator_loss", loss}});
  if (penalty_ > 0) {
    const torch::Tensor share = torch::empty({n, 1});
    for (float& x : numbers(share)) x = static_cast<float>(rng.uniform());
    loss = loss + penalty_ * discriminator_.penalty(torch::lerp(own, shown, share.to(device_)));
  }
  loss.backward();
  discriminator_.step(lr_);
}

SacBatch Adversarial::batch(const ReplayBuffer& memory, Rng& rng) {
  const auto rows = [](const SacBatch& of) { return torch::cat({of.observation, of.action}, 1); };
  SacBatch own = SacObjective::batch(memory, rng);
  train(rows(demonstrated(rng, config_.batch)), rows(own), rng);
  const torch::NoGradGuard no_grad;
  own.reward = pay(discriminator_.logit(rows(own)));
  means_.add({{"paid", own.reward.mean()}});
  return own;
}

// ---- IQ-Learn ----

torch::Tensor iq_learn_loss(const torch::Tensor& value, const torch::Tensor& state_value,
                            const torch::Tensor& next, std::int64_t shown, const IqLearnConfig& config) {
  const torch::Tensor reward = value - next;
  const torch::Tensor states = config.loss == "value"
                                   ? (state_value - next).mean()
                                   : (1 - config.sac.gamma) * state_value.narrow(0, 0, shown).mean();
  return states - reward.narrow(1, 0, shown).mean() + reward.square().mean() / (4 * config.chi);
}

IqLearn::IqLearn(const IqLearnConfig& config, VectorEnv& env, std::uint64_t, const torch::Device& device)
    : Imitator("iq_learn", config, to_json(config), env, device), iq_learn_(config) {
  require_halves();
  require(!config.sac.learn_temperature, "learn_temperature: IQ-Learn's is fixed");
  require(config.sac.actor_every == 1,
          "actor_every: expected 1, since each of IQ-Learn's updates asks the policy, got ",
          config.sac.actor_every);
}

torch::Tensor IqLearn::critic_loss(const SacStep& step) {
  const torch::Tensor value =
      step.critic.values(step.batch.observation, step.own.action.detach(), true).amin(0) -
      step.temperature * step.own.log_probability.detach();
  const torch::Tensor next = step.batch.discount * step.next_value;
  const std::int64_t shown = config_.batch / 2;
  const torch::Tensor reward = (step.value.detach() - next).mean(0);
  means_.add({{"reward_demonstrated", reward.narrow(0, 0, shown).mean()},
              {"reward_own", reward.narrow(0, shown, shown).mean()}});
  return iq_learn_loss(step.value, value, next, shown, iq_learn_);
}

// ---- for the catalog ----

std::unique_ptr<Sac> make_learner(const SqilConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device) {
  return make_imitator<Sqil>(config, env, seed, device);
}

std::unique_ptr<Sac> make_learner(const GailConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device) {
  return make_imitator<Gail>(config, env, seed, device);
}

std::unique_ptr<Sac> make_learner(const AirlConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device) {
  return make_imitator<Airl>(config, env, seed, device);
}

std::unique_ptr<Sac> make_learner(const IqLearnConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device) {
  return make_imitator<IqLearn>(config, env, seed, device);
}

std::unique_ptr<LearningAgent> load_agent(const ImitationConfig&, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device) {
  return Sac::load(path, env, device);
}

}  // namespace diffreward
