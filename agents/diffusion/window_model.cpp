#include "agents/diffusion/window_model.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "agents/guide.h"
#include "agents/nets/noise_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::int64_t kChunkValues = 1 << 20;  // numbers in one x_t; bounds memory for any n

/// Conditions in model units for the windows [begin, begin + n) of a sample.
class Inpainting {
 public:
  Inpainting(const WindowModel& model, const std::vector<Condition>& conditions, int n)
      : layout_(model.layout()) {
    const auto columns = static_cast<std::size_t>(layout_.observation_dim);
    const auto width = static_cast<std::size_t>(layout_.width()), skip = width - columns;
    for (const Condition& condition : conditions) {
      const std::string name = "condition at time " + std::to_string(condition.time);
      require(condition.time >= 0 && condition.time < layout_.horizon, name, ": expected a row in [0, ",
              layout_.horizon, ")");
      const std::size_t rows = condition.observations.size() / columns;
      require(rows * columns == condition.observations.size() &&
                  (rows == 1 || rows == static_cast<std::size_t>(n)),
              name, ": expected 1 or ", n, " observations of ", columns, " numbers, got ",
              condition.observations.size(), " numbers");
      for (const float value : condition.observations)
        require(std::isfinite(value), name, ": expected finite numbers, got ", value);
      std::vector<float> full(rows * width, 0.0F);
      for (std::size_t i = 0; i < rows; ++i)
        std::copy_n(condition.observations.begin() + static_cast<std::ptrdiff_t>(i * columns), columns,
                    full.begin() + static_cast<std::ptrdiff_t>(i * width + skip));
      model.normalizer().normalize(full, full);
      const torch::Tensor values =
          torch::tensor(full).view({static_cast<std::int64_t>(rows), layout_.width()}).to(model.device());
      values_.push_back(values.narrow(1, layout_.action_dim, layout_.observation_dim));
      times_.push_back(condition.time);
    }
  }

  void apply(torch::Tensor& x, std::int64_t begin) const {
    for (std::size_t i = 0; i < times_.size(); ++i) {
      const torch::Tensor rows =
          values_[i].size(0) == 1 ? values_[i] : values_[i].narrow(0, begin, x.size(0));
      x.select(1, times_[i])
          .narrow(1, layout_.action_dim, layout_.observation_dim)
          .copy_(rows.expand({x.size(0), -1}));
    }
  }

 private:
  WindowLayout layout_;
  std::vector<int> times_;
  std::vector<torch::Tensor> values_;  // [n or 1, observation_dim]
};

}  // namespace

std::vector<float> WindowModel::sample(int n, const std::vector<Condition>& conditions,
                                       const SampleConfig& config, const Guide* guide,
                                       std::span<Rng> noise) const {
  require(n >= 0, "n: expected at least 0 samples, got ", n);
  return denoise(n, {}, schedule().timesteps - 1, conditions, config, guide, noise);
}

std::vector<float> WindowModel::sample_from(std::span<const float> start, int level,
                                            const std::vector<Condition>& conditions,
                                            const SampleConfig& config, const Guide* guide,
                                            std::span<Rng> noise) const {
  const auto size = static_cast<std::size_t>(layout().size());
  require(start.size() % size == 0, "start: expected windows of ", size, " numbers, got ", start.size(),
          " numbers");
  require(level >= 0 && level < schedule().timesteps, "level: expected a noise level in [0, ",
          schedule().timesteps, "), got ", level);
  for (const float value : start)
    require(std::isfinite(value), "start: expected finite numbers, got ", value);
  return denoise(static_cast<int>(start.size() / size), start, level, conditions, config, guide, noise);
}

std::vector<double> WindowModel::values(const Guide& guide, std::span<const float> windows, int t) const {
  const auto size = static_cast<std::size_t>(layout().size());
  require(windows.size() % size == 0, "windows: expected windows of ", size, " numbers, got ", windows.size(),
          " numbers");
  require(t >= 0 && t < schedule().timesteps, "t: expected a timestep in [0, ", schedule().timesteps,
          "), got ", t);
  const torch::NoGradGuard no_grad;
  const auto n = static_cast<std::int64_t>(windows.size() / size);
  std::vector<float> rows(windows.size());
  normalizer().normalize(windows, rows);
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(n));
  const std::int64_t chunk = std::max<std::int64_t>(1, kChunkValues / layout().size());
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const std::int64_t count = std::min(chunk, n - begin);
    const torch::Tensor x =
        torch::from_blob(rows.data() + begin * layout().size(), {count, layout().horizon, layout().width()})
            .to(device());
    const torch::Tensor when = torch::full({count}, t, torch::dtype(torch::kLong).device(x.device()));
    const torch::Tensor found = guide.value(x, when).to(torch::kCPU, torch::kDouble).contiguous();
    out.insert(out.end(), found.data_ptr<double>(), found.data_ptr<double>() + count);
  }
  return out;
}

/// From `start`, noised, or from pure noise where it is empty.
std::vector<float> WindowModel::denoise(int n, std::span<const float> start, int level,
                                        const std::vector<Condition>& conditions, const SampleConfig& config,
                                        const Guide* guide, std::span<Rng> noise) const {
  SampleConfig settings = config;
  settings.clip = config.clip && normalizer().kind() == "limits";
  const WindowLayout& shape = layout();
  const Inpainting inpainting(*this, conditions, n);
  const Sampler sampler(*this, settings, guide, level);
  std::vector<float> out(static_cast<std::size_t>(n) * static_cast<std::size_t>(shape.size()));
  const std::int64_t chunk = std::max<std::int64_t>(1, kChunkValues / shape.size());
  std::vector<Rng> of_seed;
  if (noise.empty()) {
    const Streams streams(Purpose::kSampling, config.seed);
    for (int i = 0; i < n; ++i) of_seed.emplace_back(streams[static_cast<std::uint64_t>(i)]);
    noise = of_seed;
  }
  require(noise.size() == static_cast<std::size_t>(n), "noise: expected ", n, " generators, got ",
          noise.size());
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const std::int64_t size = std::min<std::int64_t>(chunk, n - begin);
    const std::span<Rng> rngs =
        noise.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
    torch::Tensor x = normal(rngs, {size, shape.horizon, shape.width()}).to(device()) * settings.temperature;
    if (!start.empty()) {
      std::vector<float> clean(static_cast<std::size_t>(x.numel()));
      normalizer().normalize(start.subspan(static_cast<std::size_t>(begin * shape.size()), clean.size()),
                             clean);
      const torch::Tensor t =
          torch::full({size}, sampler.first_level(), torch::dtype(torch::kLong).device(x.device()));
      x = add_noise(torch::tensor(clean).view(x.sizes()).to(x.device()), t, x);
    }
    x = sampler.run(x, rngs, [&](torch::Tensor& held) { inpainting.apply(held, begin); })
            .to(torch::kCPU)
            .contiguous();
    const std::span<const float> model_units(x.data_ptr<float>(), static_cast<std::size_t>(x.numel()));
    normalizer().unnormalize(
        model_units,
        std::span(out).subspan(static_cast<std::size_t>(begin * shape.size()), model_units.size()));
  }
  const auto columns = static_cast<std::size_t>(shape.observation_dim),
             width = static_cast<std::size_t>(shape.width());
  for (const Condition& condition : conditions)  // undo the rounding of two changes of units
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const std::size_t row =
          i * static_cast<std::size_t>(shape.horizon) + static_cast<std::size_t>(condition.time);
      const std::size_t from = condition.observations.size() == columns ? 0 : i * columns;
      std::copy_n(condition.observations.begin() + static_cast<std::ptrdiff_t>(from), columns,
                  out.begin() + static_cast<std::ptrdiff_t>((row + 1) * width - columns));
    }
  return out;
}

}  // namespace diffreward
