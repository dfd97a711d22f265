#include <torch/torch.h>

#include "agents/agent_file_torch.h"
#include "agents/device.h"
#include "agents/sac/sac.h"
#include "agents/sac/sac_torch.h"

namespace diffreward {
namespace {

constexpr const char* kCheckpoint = "diffreward.sac-checkpoint.1";
const std::string kActor = "actor.", kCritic = "critic.";  // of tensors

void add(NamedTensors& to, const std::string& prefix, const NamedTensors& from) {
  for (const auto& [name, tensor] : from) to[prefix + name] = tensor;
}

}  // namespace

void Sac::save(const std::filesystem::path& path) const {
  const Impl& m = *impl_;
  NamedTensors tensors;
  for (const auto& [name, parameter] : m.actor.parameters.named()) tensors[kActor + name] = parameter;
  save_agent(path, kKind, m.env.spec(), to_json(m.config), {{"seed", m.seed}, {"env_steps", m.env_steps}},
             std::move(tensors));
}

std::unique_ptr<Sac> Sac::load(const std::filesystem::path& path, VectorEnv& env, const std::string& device) {
  const AgentFile file(path, kKind, env.spec());
  const auto config = file.config<SacConfig>([](const SacConfig& read) { validate(read); });
  const auto [seed, env_steps] = file.progress([](const Json& json) {
    return std::pair{member<std::uint64_t>(json, "seed"), member<std::int64_t>(json, "env_steps")};
  });
  check_device(device);
  const torch::Device on(device);
  auto agent = std::unique_ptr<Sac>(
      new Sac(std::make_unique<Impl>(env, config, seed, Parameters(file.tensors(), path, kActor, on), on,
                                     std::make_unique<SacObjective>(config, on))));
  agent->impl_->env_steps = env_steps;
  return agent;
}

void Sac::save_checkpoint(const std::filesystem::path& path) const {
  const Impl& m = *impl_;
  require(m.training && m.steps == 0, "save_checkpoint: expected an agent between two reports of train()");
  const SacTraining& t = *m.training;
  NamedTensors tensors;
  add(tensors, kActor, t.actor_optimizer.state());
  add(tensors, kCritic, t.critic_optimizer.state());
  std::vector<float> rows = t.buffer.rows();
  tensors["buffer"] = torch::from_blob(
      rows.data(), {static_cast<std::int64_t>(t.buffer.size()), static_cast<std::int64_t>(t.buffer.width())});
  tensors["env"] = doubles(m.env.state());
  tensors["episode_return"] = doubles(t.episode_return);
  Json progress = {{"seed", m.seed},
                   {"env_steps", m.env_steps},
                   {"calls", m.calls},
                   {"call_begin", m.call_begin},
                   {"updates", t.updates},
                   {"actor_steps", t.actor_optimizer.steps()},
                   {"critic_steps", t.critic_optimizer.steps()},
                   {"action_rng", t.action_rng.state()},
                   {"batch_rng", t.batch_rng.state()},
                   {"noise_rng", t.noise_rng.state()}};
  m.objective->save(tensors, progress);
  save_agent(path, kCheckpoint, m.env.spec(), m.objective->settings(), progress, std::move(tensors));
}

void Sac::load_checkpoint(const std::filesystem::path& path) {
  Impl& m = *impl_;
  const AgentFile file(path, kCheckpoint, m.env.spec());
  file.require_settings(m.objective->settings(), m.seed);
  SacTraining& t = m.begin_training();
  const auto [actor_steps, critic_steps] = file.progress([&](const Json& json) {
    m.env_steps = member<std::int64_t>(json, "env_steps");
    m.calls = member<std::int64_t>(json, "calls");
    m.call_begin = member<std::int64_t>(json, "call_begin");
    t.updates = member<std::int64_t>(json, "updates");
    t.action_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "action_rng"));
    t.batch_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "batch_rng"));
    t.noise_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "noise_rng"));
    return std::pair{member<std::int64_t>(json, "actor_steps"), member<std::int64_t>(json, "critic_steps")};
  });
  t.actor_optimizer.restore(file.tensors(), actor_steps, path, kActor);
  t.critic_optimizer.restore(file.tensors(), critic_steps, path, kCritic);
  const torch::Tensor rows =
      tensor_from(file.tensors().at("buffer"), concat(path.string(), ": tensor 'buffer'"));
  if (rows.dtype() != torch::kFloat32 || rows.dim() != 2 || std::size_t(rows.size(1)) != t.buffer.width())
    throw Error(concat(path.string(), ": tensor 'buffer': expected F32 [transitions, ", t.buffer.width(),
                       "], found ", rows.dtype().name(), " ", rows.sizes()));
  t.episode_return = file.read_doubles("episode_return", m.n);
  try {
    t.buffer.set_rows({rows.const_data_ptr<float>(), static_cast<std::size_t>(rows.numel())});
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
  m.objective->load(file);
  file.read_env(m.env);
  m.resumed = true;
}

std::unique_ptr<LearningAgent> make_learner(const SacConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device) {
  return std::make_unique<Sac>(env, config, seed, device);
}

std::unique_ptr<LearningAgent> load_agent(const SacConfig&, const std::filesystem::path& path, VectorEnv& env,
                                          const std::string& device) {
  return Sac::load(path, env, device);
}

}  // namespace diffreward
