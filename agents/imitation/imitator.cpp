#include <torch/torch.h>

#include "agents/device.h"
#include "agents/imitation/imitator_torch.h"

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

SacBatch Imitator::halves(const ReplayBuffer& memory, Rng& rng) const {
  const std::int64_t half = config_.batch / 2;
  const SacBatch shown = demonstrated(rng, half);
  return joined(shown, draw_transitions(memory, rng, half, config_, device_));
}

void Imitator::note(std::initializer_list<std::pair<const char*, torch::Tensor>> numbers) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, number] : numbers) {
    auto& [sum, count] = sums_[name];
    sum = count++ > 0 ? sum + number : number.detach();
  }
}

void Imitator::tell(std::map<std::string, double>& details) {
  for (const auto& [name, sum] : sums_)
    details[name] = sum.first.item<double>() / static_cast<double>(sum.second);
  sums_.clear();
}

// ---- SQIL ----

Sqil::Sqil(const SqilConfig& config, VectorEnv& env, std::uint64_t, const torch::Device& device)
    : Imitator("sqil", config, to_json(config), env, device) {
  require(config.sac.batch % 2 == 0, "batch: expected an even number, half of it demonstrated, got ",
          config.sac.batch);
}

SacBatch Sqil::batch(const ReplayBuffer& memory, Rng& rng) {
  SacBatch batch = halves(memory, rng);
  const torch::Tensor own = torch::zeros_like(batch.reward.narrow(0, 0, config_.batch / 2));
  batch.reward = torch::cat({own + 1, own});
  return batch;
}

// ---- for the catalog ----

std::unique_ptr<Sac> make_learner(const SqilConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device) {
  return make_imitator<Sqil>(config, env, seed, device);
}

std::unique_ptr<LearningAgent> load_agent(const ImitationConfig&, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device) {
  return Sac::load(path, env, device);
}

}  // namespace diffreward
