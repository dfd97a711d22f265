#include <torch/torch.h>

#include <cstring>
#include <string>

#include "agents/ppo/ppo.h"
#include "agents/ppo/ppo_net.h"
#include "core/safetensors.h"

namespace diffreward {
namespace {

constexpr const char* kKind = "diffreward.ppo.1";

/// A view of a contiguous CPU tensor.
TensorBytes bytes_of(const torch::Tensor& tensor) {
  return {tensor.dtype() == torch::kFloat64 ? "F64" : "F32",
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

torch::Tensor doubles(const std::vector<double>& values) {
  return torch::tensor(values, torch::kFloat64);
}

/// Copies an entry into `out`. Throws Error naming the file and the entry when type or shape differ.
void read_entry(const std::filesystem::path& path, const Safetensors& file, const std::string& name,
                const torch::Tensor& out) {
  const torch::Tensor value = torch::empty_like(out, out.options().device(torch::kCPU));
  const TensorBytes &found = file.at(name), expected = bytes_of(value);
  if (found.dtype != expected.dtype || found.shape != expected.shape)
    throw Error(concat(path.string(), ": ", name, ": expected ", expected.dtype, " ",
                       Json(expected.shape).dump(), ", found ", found.dtype, " ", Json(found.shape).dump()));
  std::memcpy(value.data_ptr(), found.bytes.data(), found.bytes.size());
  torch::NoGradGuard no_grad;
  out.copy_(value);
}

std::vector<double> read_doubles(const std::filesystem::path& path, const Safetensors& file,
                                 const std::string& name, std::size_t size) {
  const torch::Tensor values = torch::empty({static_cast<std::int64_t>(size)}, torch::kFloat64);
  read_entry(path, file, name, values);
  return {values.const_data_ptr<double>(), values.const_data_ptr<double>() + size};
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
  const Json progress = {{"env_steps", m.env_steps},
                         {"iterations", m.iterations},
                         {"calls", m.calls},
                         {"action_rng", m.action_rng.state()},
                         {"batch_rng", m.batch_rng.state()}};
  write_safetensors(path, entries,
                    {{"kind", kKind},
                     {"env", describe(m.env.spec()).dump()},
                     {"config", to_json(m.config).dump()},
                     {"progress", progress.dump()}});
}

std::unique_ptr<Ppo> Ppo::load(const std::filesystem::path& path, VectorEnv& env) {
  const Safetensors file = Safetensors::open(path);
  if (file.metadata_at("kind") != kKind)
    throw Error(
        concat(path.string(), ": metadata 'kind': expected ", kKind, ", found ", file.metadata_at("kind")));
  std::unique_ptr<Ppo> agent;
  Json progress;
  try {
    const Json made_for = Json::parse(file.metadata_at("env")), wanted = describe(env.spec());
    for (const auto& [key, value] : wanted.items())
      require(made_for.at(key) == value, key, ": expected ", value.dump(), " of ", env.spec().id, ", found ",
              made_for.at(key).dump());
    PpoConfig config;
    update(config, Json::parse(file.metadata_at("config")));
    agent = std::make_unique<Ppo>(env, config);
    Impl& m = *agent->impl_;
    progress = Json::parse(file.metadata_at("progress"));
    m.env_steps = progress.at("env_steps").get<std::int64_t>();
    m.iterations = progress.at("iterations").get<std::int64_t>();
    m.calls = progress.at("calls").get<std::int64_t>();
    m.action_rng.set_state(progress.at("action_rng").get<std::array<std::uint64_t, 3>>());
    m.batch_rng.set_state(progress.at("batch_rng").get<std::array<std::uint64_t, 3>>());
  } catch (const Json::exception& error) {
    throw Error(concat(path.string(), ": metadata: ", error.what()));
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
  Impl& m = *agent->impl_;
  for (const auto& [name, tensor] : m.net.tensors()) read_entry(path, file, name, tensor);
  m.observations.set_state(read_doubles(path, file, "observations", 1 + 2 * m.obs_dim));
  m.returns.statistics().set_state(read_doubles(path, file, "returns", 3));
  const auto low = read_doubles(path, file, "action.low", m.act_dim);
  const auto high = read_doubles(path, file, "action.high", m.act_dim);
  if (low != m.scale.box.low || high != m.scale.box.high)
    throw Error(concat(path.string(), ": action box: expected ", Json(m.scale.box.low).dump(), " to ",
                       Json(m.scale.box.high).dump(), ", found ", Json(low).dump(), " to ",
                       Json(high).dump()));
  return agent;
}

}  // namespace diffreward
