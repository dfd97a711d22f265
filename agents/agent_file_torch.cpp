#include "agents/agent_file_torch.h"

#include <torch/torch.h>

#include <cmath>
#include <cstring>

#include "core/error.h"

namespace diffreward {
namespace {

/// The id without version and variant: HalfCheetah of HalfCheetah-v5, Maze2D of Maze2D-UMaze-v0.
std::string family(const std::string& id) {
  return id.substr(0, id.find('-'));
}

}  // namespace

torch::Tensor doubles(const std::vector<double>& values) {
  return torch::tensor(values, torch::kFloat64);
}

void save_agent(const std::filesystem::path& path, const std::string& kind, const EnvSpec& env,
                const Json& config, const Json& progress, NamedTensors tensors) {
  tensors["action.low"] = doubles(env.action.low);
  tensors["action.high"] = doubles(env.action.high);
  const Json made_for = {
      {"id", env.id}, {"observation_dim", env.observation.size()}, {"action_dim", env.action.size()}};
  save_tensors(
      path, tensors,
      {{"kind", kind}, {"env", made_for.dump()}, {"config", config.dump()}, {"progress", progress.dump()}});
}

AgentFile::AgentFile(std::filesystem::path path, const std::string& kind, const EnvSpec& env)
    : path_(std::move(path)), file_(Safetensors::open(path_)) {
  if (file_.metadata_at("kind") != kind)
    throw Error(
        concat(path_.string(), ": metadata 'kind': expected ", kind, ", found ", file_.metadata_at("kind")));
  read_entry(file_, path_, "env", [&](const Json& made_for) {
    const auto id = member<std::string>(made_for, "id");
    require(family(id) == family(env.id), "expected an agent of ", family(env.id), ", found one of ", id);
    for (const auto& [key, wanted] :
         {std::pair{"observation_dim", env.observation.size()}, std::pair{"action_dim", env.action.size()}}) {
      const auto found = member<std::size_t>(made_for, key);
      require(found == wanted, key, ": expected ", wanted, " of ", env.id, ", found ", found);
    }
    return true;
  });
  const std::size_t act_dim = env.action.size();
  const auto low = read_bounds("action.low", act_dim), high = read_bounds("action.high", act_dim);
  if (low != env.action.low || high != env.action.high)
    throw Error(concat(path_.string(), ": action box: expected ", brief(env.action.low), " to ",
                       brief(env.action.high), ", found ", brief(low), " to ", brief(high)));
}

void AgentFile::require_settings(const Json& config, std::uint64_t seed) const {
  read_entry(file_, path_, "config", [&](const Json& found) {
    for (const auto& [key, value] : config.items())
      require(found.contains(key) && found.at(key) == value, key, ": expected ", brief(value), ", found ",
              brief(found.contains(key) ? found.at(key) : Json()));
    return true;
  });
  const auto found = progress([](const Json& json) { return member<std::uint64_t>(json, "seed"); });
  if (found != seed) throw Error(concat(path_.string(), ": seed: expected ", seed, ", found ", found));
}

const TensorBytes& AgentFile::expect(const std::string& tensor, const std::string& dtype,
                                     at::IntArrayRef shape) const {
  const TensorBytes& found = file_.at(tensor);
  if (found.dtype != dtype || !shape.equals(found.shape))
    throw Error(concat(path_.string(), ": tensor '", tensor, "': expected ", dtype, " ", shape, ", found ",
                       found.dtype, " ", at::IntArrayRef(found.shape)));
  return found;
}

void AgentFile::read(const std::string& tensor, const torch::Tensor& out) const {
  const char* dtype = out.dtype() == torch::kFloat64 ? "F64" : "F32";
  const torch::NoGradGuard no_grad;
  out.copy_(
      tensor_from(expect(tensor, dtype, out.sizes()), concat(path_.string(), ": tensor '", tensor, "'")));
}

std::vector<double> AgentFile::read_doubles(const std::string& tensor, std::size_t size) const {
  return numbers(tensor, size, true);
}
std::vector<double> AgentFile::read_bounds(const std::string& tensor, std::size_t size) const {
  return numbers(tensor, size, false);
}

void AgentFile::read_env(VectorEnv& env) const {
  const std::vector<double> state = read_bounds("env", file_.at("env").bytes.size() / sizeof(double));
  try {
    env.set_state(state);
  } catch (const InvalidArgument& error) {
    throw Error(concat(path_.string(), ": ", error.what()));
  }
}

std::vector<double> AgentFile::numbers(const std::string& tensor, std::size_t size, bool finite) const {
  const TensorBytes& found = expect(tensor, "F64", {static_cast<std::int64_t>(size)});
  std::vector<double> values(size);
  if (size > 0) std::memcpy(values.data(), found.bytes.data(), found.bytes.size());
  for (const double value : values)
    if (std::isnan(value) || (finite && std::isinf(value)))
      throw Error(concat(path_.string(), ": tensor '", tensor, "': expected finite numbers, found ", value));
  return values;
}

}  // namespace diffreward
