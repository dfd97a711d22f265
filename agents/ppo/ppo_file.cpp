#include <torch/torch.h>

#include <string>

#include "agents/agent_file_torch.h"
#include "agents/device.h"
#include "agents/ppo/ppo.h"
#include "agents/ppo/ppo_torch.h"

namespace diffreward {
namespace {

constexpr const char* kCheckpoint = "diffreward.ppo-checkpoint.2";
const std::string kNet = "net.";  // of tensors

}  // namespace

/// Settings, statistics and where training stands, with what is given beside.
void Ppo::Impl::write(const std::filesystem::path& path, const std::string& kind, Json progress,
                      NamedTensors tensors) const {
  tensors["observations"] = doubles(observations.state());
  tensors["returns"] = doubles(returns.statistics().state());
  progress.update({{"seed", seed},
                   {"env_steps", env_steps},
                   {"iterations", iterations},
                   {"calls", calls},
                   {"action_rng", action_rng.state()},
                   {"batch_rng", batch_rng.state()}});
  save_agent(path, kind, env.spec(), to_json(config), progress, std::move(tensors));
}

void Ppo::Impl::read(const AgentFile& file) {
  file.progress([&](const Json& json) {
    env_steps = member<std::int64_t>(json, "env_steps");
    iterations = member<std::int64_t>(json, "iterations");
    calls = member<std::int64_t>(json, "calls");
    action_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "action_rng"));
    batch_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "batch_rng"));
    return true;
  });
  observations.set_state(file.read_doubles("observations", 1 + 2 * obs_dim));
  returns.statistics().set_state(file.read_doubles("returns", 3));
}

void Ppo::save(const std::filesystem::path& path) const {
  NamedTensors tensors;
  for (const auto& [name, parameter] : impl_->net.parameters.named()) tensors[kNet + name] = parameter;
  impl_->write(path, kKind, Json::object(), std::move(tensors));
}

std::unique_ptr<Ppo> Ppo::load(const std::filesystem::path& path, VectorEnv& env, const std::string& device) {
  const AgentFile file(path, kKind, env.spec());
  const auto config = file.config<PpoConfig>([](const PpoConfig& read) { validate(read); });
  const auto seed = file.progress([](const Json& json) { return member<std::uint64_t>(json, "seed"); });
  check_device(device);
  auto agent = std::unique_ptr<Ppo>(new Ppo(std::make_unique<Impl>(
      env, config, seed, Parameters(file.tensors(), path, kNet, torch::Device(device)))));
  agent->impl_->read(file);
  return agent;
}

void Ppo::save_checkpoint(const std::filesystem::path& path) const {
  const Impl& m = *impl_;
  NamedTensors tensors;
  for (const auto& [name, tensor] : m.optimizer.state()) tensors[kNet + name] = tensor;
  tensors["env"] = doubles(m.env.state());
  tensors["episode_return"] = doubles(m.episode_return);
  tensors["discounted_return"] = doubles(m.returns.running());
  m.write(path, kCheckpoint, {{"call_begin", m.call_begin}, {"lr", m.lr}, {"updates", m.optimizer.steps()}},
          std::move(tensors));
}

void Ppo::load_checkpoint(const std::filesystem::path& path) {
  Impl& m = *impl_;
  const AgentFile file(path, kCheckpoint, m.env.spec());
  file.require_settings(to_json(m.config), m.seed);
  m.read(file);
  const auto updates = file.progress([&](const Json& json) {
    m.call_begin = member<std::int64_t>(json, "call_begin");
    m.lr = member<double>(json, "lr");
    return member<std::int64_t>(json, "updates");
  });
  m.optimizer.restore(file.tensors(), updates, path, kNet);
  m.episode_return = file.read_doubles("episode_return", m.n);
  m.returns.restart(m.n);
  m.returns.running() = file.read_doubles("discounted_return", m.n);
  file.read_env(m.env);
  m.resumed = true;
}

std::unique_ptr<LearningAgent> make_learner(const PpoConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device) {
  return std::make_unique<Ppo>(env, config, seed, device);
}

std::unique_ptr<LearningAgent> load_agent(const PpoConfig&, const std::filesystem::path& path, VectorEnv& env,
                                          const std::string& device) {
  return Ppo::load(path, env, device);
}

}  // namespace diffreward
