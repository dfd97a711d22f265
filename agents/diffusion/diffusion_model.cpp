#include "agents/diffusion/diffusion_model.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "agents/device.h"
#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

/// Runs after the cheap checks, before anything is allocated on the device.
const std::string& checked(const DiffusionConfig& config, const WindowLayout& layout,
                           const Normalizer& normalizer, const std::string& device) {
  validate(config);
  check_device(device);
  require(layout.horizon == config.horizon, "horizon: the layout's ", layout.horizon, " is not the config's ",
          config.horizon);
  require(layout.stride == config.stride, "stride: the layout's ", layout.stride, " is not the config's ",
          config.stride);
  require(config.actions == (layout.action_dim > 0), "actions: config says ",
          config.actions ? "true" : "false", ", the layout has action_dim ", layout.action_dim);
  require(layout.observation_dim >= 1, "observation_dim: expected at least 1, got ", layout.observation_dim);
  require(normalizer.columns() == static_cast<std::size_t>(layout.width()), "normalizer: expected ",
          layout.width(), " columns [action, observation], got ", normalizer.columns());
  return device;
}

}  // namespace

DiffusionModel::Impl::Impl(DiffusionConfig config_, WindowLayout layout_, Normalizer normalizer_,
                           const std::string& device_,
                           const std::function<Parameters(const torch::Device&)>& values)
    : config(std::move(config_)),
      layout(layout_),
      normalizer(std::move(normalizer_)),
      schedule(config.schedule, config.timesteps),
      device(checked(config, layout, normalizer, device_)),
      levels(schedule, torch::Device(device)),
      net(make_denoiser(config, layout, values(torch::Device(device)))) {}

torch::Tensor DiffusionModel::Impl::to_x0(const torch::Tensor& output, const torch::Tensor& x_t,
                                          const torch::Tensor& t) const {
  if (config.prediction == "x0") return output;
  const torch::Tensor signal = at_timesteps(levels.signal, t, x_t.dim()),
                      noise = at_timesteps(levels.noise, t, x_t.dim());
  if (config.prediction == "epsilon") return (x_t - noise * output) / signal;
  return signal * x_t - noise * output;
}

torch::Tensor DiffusionModel::Impl::target(const torch::Tensor& x_0, const torch::Tensor& noise,
                                           const torch::Tensor& t) const {
  if (config.prediction == "x0") return x_0;
  if (config.prediction == "epsilon") return noise;
  return at_timesteps(levels.signal, t, x_0.dim()) * noise - at_timesteps(levels.noise, t, x_0.dim()) * x_0;
}

DiffusionModel::DiffusionModel(DiffusionConfig config, WindowLayout layout, Normalizer normalizer,
                               std::uint64_t seed, const std::string& device)
    : impl_(std::make_unique<Impl>(std::move(config), layout, std::move(normalizer), device,
                                   [seed](const torch::Device& on) {
                                     return Parameters(Streams(Purpose::kModelWeights, seed)[0], on);
                                   })) {}

DiffusionModel::DiffusionModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DiffusionModel::DiffusionModel(DiffusionModel&&) noexcept = default;
DiffusionModel& DiffusionModel::operator=(DiffusionModel&&) noexcept = default;
DiffusionModel::~DiffusionModel() = default;

DiffusionModel DiffusionModel::load(const std::filesystem::path& path, const std::string& device) {
  const Safetensors file = Safetensors::open(path);
  const std::string& kind = file.metadata_at("kind");
  if (kind != kKind)
    throw Error(concat(path.string(), ": metadata 'kind': expected ", kKind, ", found '", kind, "'"));
  const auto config = read_entry(file, path, "config", [](const Json& json) {
    DiffusionConfig out;
    update(out, json);
    return out;
  });
  const auto layout = read_entry(file, path, "layout", WindowLayout::from_json);
  const auto normalizer =
      read_entry(file, path, "normalizer", [](const Json& json) { return Normalizer::from_json(json); });
  auto provenance = read_entry(file, path, "provenance", [](const Json& json) { return json; });
  check_device(device);
  try {
    auto impl = std::make_unique<Impl>(config, layout, normalizer, device, [&](const torch::Device& on) {
      return Parameters(file, path, "", on);
    });
    impl->provenance = std::move(provenance);
    return DiffusionModel(std::move(impl));
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
}

void DiffusionModel::save(const std::filesystem::path& path) const {
  NamedTensors tensors;
  for (const auto& [name, parameter] : impl_->net->parameters.named()) tensors[name] = parameter;
  save_tensors(path, tensors,
               {{"kind", kKind},
                {"config", to_json(impl_->config).dump()},
                {"layout", impl_->layout.json().dump()},
                {"normalizer", impl_->normalizer.json().dump()},
                {"provenance", impl_->provenance.dump()}});
}

void DiffusionModel::load_weights(const std::filesystem::path& path) {
  impl_->net->parameters.read(Safetensors::open(path), path);
}

DiffusionModel DiffusionModel::clone() const {
  DiffusionModel copy(impl_->config, impl_->layout, impl_->normalizer, 0, impl_->device);
  const torch::NoGradGuard no_grad;
  const auto& from = impl_->net->parameters.named();
  const auto& to = copy.impl_->net->parameters.named();
  for (std::size_t i = 0; i < from.size(); ++i) to[i].second.copy_(from[i].second);
  copy.impl_->provenance = impl_->provenance;
  return copy;
}

const DiffusionConfig& DiffusionModel::config() const {
  return impl_->config;
}
const WindowLayout& DiffusionModel::layout() const {
  return impl_->layout;
}
const Normalizer& DiffusionModel::normalizer() const {
  return impl_->normalizer;
}
const NoiseSchedule& DiffusionModel::schedule() const {
  return impl_->schedule;
}
const std::string& DiffusionModel::device() const {
  return impl_->device;
}
std::int64_t DiffusionModel::parameters() const {
  return impl_->net->parameters.count();
}
Json& DiffusionModel::provenance() {
  return impl_->provenance;
}
const Json& DiffusionModel::provenance() const {
  return impl_->provenance;
}

at::Tensor DiffusionModel::predict_x0(const at::Tensor& x_t, const at::Tensor& t) const {
  return impl_->to_x0(impl_->net->forward(x_t, t), x_t, t);
}

}  // namespace diffreward
