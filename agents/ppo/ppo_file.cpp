#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <string>

#include "agents/nets/tensor_file_torch.h"
#include "agents/ppo/ppo.h"
#include "agents/ppo/ppo_torch.h"
#include "core/safetensors.h"

namespace diffreward {
namespace {

/// A view of a contiguous CPU tensor.
TensorBytes bytes_of(const torch::Tensor& tensor) {
  return {tensor.dtype() == torch::kFloat64 ? "F64" : "F32",
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

torch::Tensor doubles(const std::vector<double>& values) {
  return torch::tensor(values, torch::kFloat64);
}

/// The entry if it is of this type and shape. Throws Error naming the file and the entry.
const TensorBytes& expect(const std::filesystem::path& path, const Safetensors& file, const std::string& name,
                          const std::string& dtype, const std::vector<std::int64_t>& shape) {
  const TensorBytes& found = file.at(name);
  if (found.dtype != dtype || found.shape != shape)
    throw Error(concat(path.string(), ": tensor '", name, "': expected ", dtype, " ", brief(shape),
                       ", found ", found.dtype, " ", brief(found.shape)));
  return found;
}

/// Copies an entry into `out`. Throws Error naming the file and the entry when type or shape differ, or where
/// a number is not finite.
void read_tensor(const std::filesystem::path& path, const Safetensors& file, const std::string& name,
                 const torch::Tensor& out) {
  const char* dtype = out.dtype() == torch::kFloat64 ? "F64" : "F32";
  const torch::NoGradGuard no_grad;
  out.copy_(tensor_from(expect(path, file, name, dtype, out.sizes().vec()),
                        concat(path.string(), ": tensor '", name, "'")));
}

/// Bounds may be infinite, statistics may not.
std::vector<double> read_doubles(const std::filesystem::path& path, const Safetensors& file,
                                 const std::string& name, std::size_t size, bool finite = true) {
  const TensorBytes& found = expect(path, file, name, "F64", {static_cast<std::int64_t>(size)});
  std::vector<double> values(size);
  if (size > 0) std::memcpy(values.data(), found.bytes.data(), found.bytes.size());
  for (const double value : values)
    if (std::isnan(value) || (finite && std::isinf(value)))
      throw Error(concat(path.string(), ": tensor '", name, "': expected finite numbers, found ", value));
  return values;
}

/// What a checkpoint's text must say about the environment it is loaded for.
Json describe(const EnvSpec& spec) {
  return {{"observation_dim", spec.observation.size()}, {"action_dim", spec.action.size()}};
}

}  // namespace

void Ppo::save(const std::filesystem::path& path) const {
  const Impl& m = *impl_;
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, tensor] : m.net.tensors()) tensors[name] = tensor.to(torch::kCPU).contiguous();
  tensors["observations"] = doubles(m.observations.state());
  tensors["returns"] = doubles(m.returns.statistics().state());
  tensors["action.low"] = doubles(m.scale.box.low);
  tensors["action.high"] = doubles(m.scale.box.high);
  std::map<std::string, TensorBytes> entries;
  for (const auto& [name, tensor] : tensors) entries[name] = bytes_of(tensor);
  const Json progress = {
      {"seed", m.seed}, {"env_steps", m.env_steps},           {"iterations", m.iterations},
      {"calls", m.calls},      {"action_rng", m.action_rng.state()}, {"batch_rng", m.batch_rng.state()}};
  write_safetensors(path, entries,
                    {{"kind", kKind},
                     {"env", describe(m.env.spec()).dump()},
                     {"config", to_json(m.config).dump()},
                     {"progress", progress.dump()}});
}

std::unique_ptr<Ppo> Ppo::load(const std::filesystem::path& path, VectorEnv& env, const std::string& device) {
  const Safetensors file = Safetensors::open(path);
  if (file.metadata_at("kind") != kKind)
    throw Error(
        concat(path.string(), ": metadata 'kind': expected ", kKind, ", found ", file.metadata_at("kind")));
  read_entry(file, path, "env", [&](const Json& made_for) {
    const Json wanted = describe(env.spec());
    for (const auto& [key, value] : wanted.items())
      require(made_for.at(key) == value, key, ": expected ", brief(value), " of ", env.spec().id, ", found ",
              brief(made_for.at(key)));
    return true;
  });
  const auto config = read_entry(file, path, "config", [&](const Json& json) {
    PpoConfig out;
    update(out, json);
    // Before the nets are made: what the settings claim must be in the file.
    const std::int64_t weights =
        ActorCritic::count(static_cast<std::int64_t>(env.spec().observation.size()),
                           static_cast<std::int64_t>(env.spec().action.size()), out.hidden);
    expect(path, file, "adam.mean", "F32", {weights});
    return out;
  });
  const auto seed = read_entry(file, path, "progress",
                               [](const Json& json) { return member<std::uint64_t>(json, "seed"); });
  std::unique_ptr<Ppo> agent;
  try {
    agent = std::make_unique<Ppo>(env, config, seed, device);
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
  Impl& m = *agent->impl_;
  read_entry(file, path, "progress", [&](const Json& json) {
    m.env_steps = member<std::int64_t>(json, "env_steps");
    m.iterations = member<std::int64_t>(json, "iterations");
    m.calls = member<std::int64_t>(json, "calls");
    m.action_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "action_rng"));
    m.batch_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "batch_rng"));
    return true;
  });
  for (const auto& [name, tensor] : m.net.tensors()) read_tensor(path, file, name, tensor);
  m.observations.set_state(read_doubles(path, file, "observations", 1 + 2 * m.obs_dim));
  m.returns.statistics().set_state(read_doubles(path, file, "returns", 3));
  const auto low = read_doubles(path, file, "action.low", m.act_dim, false);
  const auto high = read_doubles(path, file, "action.high", m.act_dim, false);
  if (low != m.scale.box.low || high != m.scale.box.high)
    throw Error(concat(path.string(), ": action box: expected ", brief(m.scale.box.low), " to ",
                       brief(m.scale.box.high), ", found ", brief(low), " to ", brief(high)));
  return agent;
}

std::unique_ptr<LearningAgent> make_learner(const PpoConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device) {
  return std::make_unique<Ppo>(env, config, seed, device);
}

std::unique_ptr<Agent> load_agent(const PpoConfig&, const std::filesystem::path& path, VectorEnv& env,
                                  const std::string& device) {
  return Ppo::load(path, env, device);
}

}  // namespace diffreward
