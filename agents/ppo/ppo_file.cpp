#include <torch/torch.h>

#include <string>

#include "agents/agent_file_torch.h"
#include "agents/ppo/ppo.h"
#include "agents/ppo/ppo_torch.h"

namespace diffreward {
namespace {

constexpr const char* kCheckpoint = "diffreward.ppo-checkpoint.1";

}  // namespace

void Ppo::Impl::write(const std::filesystem::path& path, bool checkpoint) const {
  NamedTensors tensors = net.tensors();
  tensors["observations"] = doubles(observations.state());
  tensors["returns"] = doubles(returns.statistics().state());
  Json progress = {{"seed", seed},   {"env_steps", env_steps},           {"iterations", iterations},
                   {"calls", calls}, {"action_rng", action_rng.state()}, {"batch_rng", batch_rng.state()}};
  if (checkpoint) {
    progress["call_begin"] = call_begin;
    progress["lr"] = lr;
    tensors["env"] = doubles(env.state());
    tensors["episode_return"] = doubles(episode_return);
    tensors["discounted_return"] = doubles(returns.running());
  }
  save_agent(path, checkpoint ? kCheckpoint : kKind, env.spec(), to_json(config), progress,
             std::move(tensors));
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
  for (const auto& [name, tensor] : net.tensors()) file.read(name, tensor);
  observations.set_state(file.read_doubles("observations", 1 + 2 * obs_dim));
  returns.statistics().set_state(file.read_doubles("returns", 3));
}

void Ppo::save(const std::filesystem::path& path) const {
  impl_->write(path, false);
}

void Ppo::save_checkpoint(const std::filesystem::path& path) const {
  impl_->write(path, true);
}

std::unique_ptr<Ppo> Ppo::load(const std::filesystem::path& path, VectorEnv& env, const std::string& device) {
  const AgentFile file(path, kKind, env.spec());
  const auto config = file.config<PpoConfig>([&](const PpoConfig& read) {
    // Before the nets are made: what the settings claim must be in the file.
    const std::int64_t weights =
        ActorCritic::count(static_cast<std::int64_t>(env.spec().observation.size()),
                           static_cast<std::int64_t>(env.spec().action.size()), read.hidden);
    file.expect("adam.mean", "F32", {weights});
  });
  const auto seed = file.progress([](const Json& json) { return member<std::uint64_t>(json, "seed"); });
  std::unique_ptr<Ppo> agent;
  try {
    agent = std::make_unique<Ppo>(env, config, seed, device);
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
  agent->impl_->read(file);
  return agent;
}

void Ppo::load_checkpoint(const std::filesystem::path& path) {
  Impl& m = *impl_;
  const AgentFile file(path, kCheckpoint, m.env.spec());
  file.require_settings(to_json(m.config), m.seed);
  m.read(file);
  file.progress([&](const Json& json) {
    m.call_begin = member<std::int64_t>(json, "call_begin");
    m.lr = member<double>(json, "lr");
    return true;
  });
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
