#include "rewards/relative/window_reward_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "agents/device.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::size_t kScoreChunk = 2048;  // windows per pass through the net, to stay in the cache

const ExtractConfig& checked(const ExtractConfig& config, const WindowLayout& sample,
                             const Normalizer& normalizer, const NoiseSchedule& schedule) {
  validate(config);
  check_device(config.device);
  require(!config.hidden.empty() && !config.dim_mults.empty(),
          "hidden, dim_mults: expected at least one entry");
  require(config.net != "mlp" || config.window <= sample.horizon, "window: expected at most the models' ",
          sample.horizon, " rows, got ", config.window);
  require(config.net != "denoisers" || config.channels.empty(),
          "channels: expected none for net = denoisers, which reads whole samples");
  require(config.read_t < schedule.timesteps, "read_t: expected a timestep below ", schedule.timesteps,
          ", got ", config.read_t);
  require(normalizer.columns() == static_cast<std::size_t>(sample.width()), "normalizer: expected ",
          sample.width(), " columns, found ", normalizer.columns());
  std::set<int> seen;
  for (const int channel : config.channels) {
    require(channel < sample.width(), "channels: expected columns below ", sample.width(), ", got ", channel);
    require(seen.insert(channel).second, "channels: expected each column once, got ", channel, " twice");
  }
  return config;
}

std::vector<std::int64_t> channels_of(const ExtractConfig& config, const WindowLayout& sample) {
  if (!config.channels.empty()) return {config.channels.begin(), config.channels.end()};
  std::vector<std::int64_t> all(static_cast<std::size_t>(sample.width()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

WindowLayout scored_layout(const ExtractConfig& config, WindowLayout sample) {
  if (config.net == "mlp") sample.horizon = config.window;
  return sample;
}

}  // namespace

WindowReward::WindowReward(const ExtractConfig& settings, const WindowModel& like)
    : WindowReward(
          settings, like.layout(), like.normalizer(), like.schedule(),
          [&]() -> std::optional<DiffusionConfig> {
            if (const auto* trained = dynamic_cast<const DiffusionModel*>(&like)) return trained->config();
            return std::nullopt;
          }(),
          [&] { return initial_parameters(settings); }) {}

WindowReward::WindowReward(const ExtractConfig& settings, const WindowLayout& sample_layout, Normalizer norm,
                           const NoiseSchedule& chain, std::optional<DiffusionConfig> built_as,
                           const std::function<Parameters()>& values)
    : config(checked(settings, sample_layout, norm, chain)),
      sample(sample_layout),
      layout(scored_layout(config, sample)),
      normalizer(std::move(norm)),
      schedule(chain),
      denoiser(std::move(built_as)),
      channels(channels_of(config, sample)),
      reads(std::ranges::any_of(channels, [&](std::int64_t c) { return c < sample.action_dim; })
                ? Reads::kStateAction
                : Reads::kReached),
      net(make_reward_net(config, shape(), Head::kScalar, values())),
      indices_(torch::tensor(channels, torch::kLong).to(torch::Device(config.device))) {
  for (const auto& [name, parameter] : net->parameters.named())
    torch::Tensor(parameter).set_requires_grad(false);
}

WindowReward::WindowReward(const Safetensors& file, const std::filesystem::path& path,
                           const std::string& kind, const std::string& device)
    : WindowReward([&] {
        const std::string& found = file.metadata_at("kind");
        if (found != kind)
          throw Error(concat(path.string(), ": metadata 'kind': expected ", kind, ", found '", found, "'"));
        auto settings = read_entry(file, path, "config", [](const Json& json) {
          ExtractConfig out;
          update(out, json);
          return out;
        });
        settings.device = device;
        check_device(device);
        const WindowLayout sample_layout = read_entry(file, path, "layout", WindowLayout::from_json);
        Normalizer norm = read_entry(file, path, "normalizer", Normalizer::from_json);
        const NoiseSchedule chain = read_entry(file, path, "schedule", NoiseSchedule::from_json);
        try {
          std::optional<DiffusionConfig> built_as;
          if (settings.net == "denoisers")
            built_as = read_entry(file, path, "denoiser", [](const Json& json) {
              DiffusionConfig out;
              update(out, json);
              return out;
            });
          return WindowReward(settings, sample_layout, std::move(norm), chain, std::move(built_as),
                              [&] { return Parameters(file, path, "net.", torch::Device(device)); });
        } catch (const InvalidArgument& error) {
          throw Error(concat(path.string(), ": ", error.what()));
        }
      }()) {
  provenance = read_entry(file, path, "provenance", [](const Json& json) { return json; });
}

void WindowReward::add_to(NamedTensors& tensors, std::map<std::string, std::string>& metadata,
                          const std::string& kind) const {
  for (const auto& [name, parameter] : net->parameters.named()) tensors["net." + name] = parameter;
  metadata["kind"] = kind;
  metadata["config"] = to_json(config).dump();
  if (config.net == "denoisers") metadata["denoiser"] = to_json(*denoiser).dump();
  metadata["layout"] = sample.json().dump();
  metadata["normalizer"] = normalizer.json().dump();
  metadata["schedule"] = schedule.json().dump();
  metadata["provenance"] = provenance.dump();
}

torch::Tensor WindowReward::select(const torch::Tensor& x) const {
  const torch::Tensor here = x.to(indices_.device());
  return static_cast<int>(channels.size()) == sample.width() && config.channels.empty()
             ? here
             : here.index_select(-1, indices_);
}

double WindowReward::length_share(const torch::Tensor& x) const {
  require(x.dim() == 3 && x.size(2) == sample.width(), "guide: expected samples [n, rows, ", sample.width(),
          "], got ", x.sizes());
  const std::int64_t rows = x.size(1);
  if (rows == sample.horizon) return 1;
  require(config.net == "mlp", "guide: expected samples of ", sample.horizon, " rows for net = ", config.net,
          ", got ", rows);
  require(rows >= config.window, "guide: expected samples of at least ", config.window, " rows, got ", rows);
  return static_cast<double>(rows - config.window + 1) / (sample.horizon - config.window + 1);
}

torch::Tensor WindowReward::value(const torch::Tensor& x, const torch::Tensor& t) const {
  const double share = length_share(x);
  return (net->forward(select(x), t.to(indices_.device())) * share).to(x.device());
}

torch::Tensor WindowReward::gradient(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::NoGradGuard no_grad;
  const double share = length_share(x);
  const torch::Tensor read = net->gradient(select(x), t.to(indices_.device())) * share;
  if (config.channels.empty()) return read.to(x.device());
  return torch::zeros(x.sizes(), read.options()).index_copy(-1, indices_, read).to(x.device());
}

RewardNetShape WindowReward::shape() const {
  return {sample.horizon, static_cast<int>(channels.size()), schedule.timesteps,
          denoiser ? &*denoiser : nullptr};
}

std::size_t WindowReward::count(std::span<const float> windows, std::size_t out) const {
  const auto size = static_cast<std::size_t>(layout.size());
  require(windows.size() == out * size, "score: expected ", out, " windows of ", layout.horizon, " rows of ",
          layout.width(), " numbers, got ", windows.size(), " numbers");
  return out;
}

std::vector<float> WindowReward::read(std::span<const float> windows, bool clip) const {
  const auto width = static_cast<std::size_t>(layout.width());
  const std::size_t rows = windows.size() / width;
  clip = clip && normalizer.kind() == "limits";
  std::vector<float> out(rows * channels.size());
  float* to = out.data();
  for (std::size_t row = 0; row < rows; ++row)
    for (const std::int64_t channel : channels) {
      const auto c = static_cast<std::size_t>(channel);
      const auto x =
          static_cast<float>((windows[row * width + c] - normalizer.offset()[c]) / normalizer.scale()[c]);
      *to++ = clip ? std::clamp(x, -1.0f, 1.0f) : x;
    }
  return out;
}

void WindowReward::score(int t, std::span<const float> windows, std::span<float> out) const {
  require(t >= 0 && t < schedule.timesteps, "score: expected a timestep below ", schedule.timesteps, ", got ",
          t);
  const std::size_t n = count(windows, out.size());
  const torch::InferenceMode inference;
  const auto size = static_cast<std::size_t>(layout.size());
  for (std::size_t begin = 0; begin < n; begin += kScoreChunk) {
    const std::size_t m = std::min(kScoreChunk, n - begin);
    std::vector<float> rows = read(windows.subspan(begin * size, m * size), /*clip=*/true);
    const torch::Tensor x = torch::from_blob(rows.data(), {static_cast<std::int64_t>(m), layout.horizon,
                                                           static_cast<std::int64_t>(channels.size())});
    const torch::Tensor when = torch::full({1}, t, torch::dtype(torch::kLong).device(indices_.device()));
    const torch::Tensor values = net->forward(x.to(indices_.device()), when).cpu();
    std::copy_n(values.data_ptr<float>(), m, out.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

}  // namespace diffreward
