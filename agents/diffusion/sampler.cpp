// DenoisingModel::sample. One loop serves all samplers: they differ in how they go from noise level t to the
// next lower one s, given x_t and the predicted x_0 (a = sqrt(abar), b = sqrt(1 - abar); s = -1 is clean: a =
// 1, b = 0).
//   ddpm        x_s ~ q(x_s | x_t, x_0), the posterior, for any s < t            (Ho et al. 2020)
//   ddim        x_s = a_s x_0 + b_s (x_t - a_t x_0) / b_t                        (Song et al. 2021, eta = 0)
//   dpm_solver  x_s = (b_s / b_t) x_t - a_s (e^-h - 1) D,  h = l_s - l_t, l = log(a / b),
//               D = x_0 + (x_0 - x_0 before) / (2 r), r = h before / h           (Lu et al. 2022,
//               DPM-Solver++ 2M)
// The guide moves x_t before x_0 is predicted. At "x_t" by its own gradient there, as in Diffuser; at "x0" by
//   d guide(x_0(x_t), t = 0) / d x_t = J^T grad guide,  J = d x_0 / d x_t
// (Ho et al. 2022, Chung et al. 2023): the denoiser's Jacobian lets through what its data can do and little
// else.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "agents/diffusion/denoising_model.h"
#include "agents/diffusion/noise_net.h"
#include "agents/guide.h"
#include "core/error.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

constexpr std::int64_t kChunkValues = 1 << 20;  // numbers in one x_t; bounds memory for any n

/// The visited noise levels, T - 1 down to 0, evenly spaced, without those above `highest`.
std::vector<int> visited_levels(const SampleConfig& config, int timesteps, int highest) {
  require(config.steps >= 0 && config.steps <= timesteps, "steps: expected at most the model's ", timesteps,
          " timesteps, got ", config.steps);
  const int steps = config.steps > 0 ? config.steps : timesteps;
  std::vector<int> levels;
  for (int i = 0; i < steps; ++i)
    levels.push_back(steps == 1 ? timesteps - 1
                                : static_cast<int>(std::lround((timesteps - 1) * (1 - i / (steps - 1.0)))));
  std::erase_if(levels, [&](int level) { return level > highest; });
  require(!levels.empty(), "level: expected at least the sampler's lowest, got ", highest);
  return levels;
}

/// One step of the chain from level t to level s, in doubles.
struct Transition {
  int t;
  double a_t, b_t, a_s, b_s;
  Transition(const NoiseSchedule& schedule, int from, int to) : t(from) {
    const double abar_t = schedule.alpha_bar[static_cast<std::size_t>(from)];
    const double abar_s = to < 0 ? 1 : schedule.alpha_bar[static_cast<std::size_t>(to)];
    a_t = std::sqrt(abar_t), b_t = std::sqrt(1 - abar_t);
    a_s = std::sqrt(abar_s), b_s = std::sqrt(1 - abar_s);
  }
  double beta() const { return 1 - a_t * a_t / (a_s * a_s); }
  double variance() const { return beta() * b_s * b_s / (b_t * b_t); }
  double log_ratio_step() const {
    return std::log(a_s / b_s) - std::log(a_t / b_t);
  }  // h; infinite when clean
};

/// Conditions in model units for the windows [begin, begin + n) of a sample.
class Inpainting {
 public:
  Inpainting(const DenoisingModel& model, const std::vector<Condition>& conditions, int n)
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

class Sampler {
 public:
  Sampler(const DenoisingModel& model, const SampleConfig& config, const Guide* guide, int highest)
      : model_(model),
        config_(config),
        guide_(config.scale != 0 ? guide : nullptr),
        clip_(config.clip && model.normalizer().kind() == "limits"),
        levels_(visited_levels(config, model.schedule().timesteps, highest)) {}

  /// The noise level at which x comes in.
  int first_level() const { return levels_.front(); }
  /// x: noise, turned into samples in model units.
  torch::Tensor run(torch::Tensor x, const Inpainting& inpainting, std::int64_t begin,
                    std::span<Rng> noise) const {
    inpainting.apply(x, begin);
    torch::Tensor before;  // the x_0 predicted at the step before
    double h_before = 0;
    for (std::size_t i = 0; i < levels_.size(); ++i) {
      check_interrupt();
      const Transition step(model_.schedule(), levels_[i], i + 1 < levels_.size() ? levels_[i + 1] : -1);
      const torch::Tensor t = torch::full({x.size(0)}, step.t, torch::dtype(torch::kLong).device(x.device()));
      steer(x, t, step, inpainting, begin);
      const torch::Tensor x0 = clipped(model_.predict_x0(x, t));
      if (config_.sampler == "ddpm") {
        x = ddpm(x, x0, step, noise);
      } else if (config_.sampler == "ddim" || step.b_s == 0) {  // DPM-Solver++'s last step is this one too
        x = step.a_s * x0 + step.b_s / step.b_t * (x - step.a_t * x0);
      } else {
        const double h = step.log_ratio_step();
        const torch::Tensor d = before.defined() ? x0 + (x0 - before) * (h / (2 * h_before)) : x0;
        x = step.b_s / step.b_t * x - step.a_s * std::expm1(-h) * d;
        before = x0;
        h_before = h;
      }
      inpainting.apply(x, begin);
    }
    return x;
  }

 private:
  torch::Tensor clipped(const torch::Tensor& x0) const { return clip_ ? x0.clamp(-1, 1) : x0; }

  void steer(torch::Tensor& x, const torch::Tensor& t, const Transition& step, const Inpainting& inpainting,
             std::int64_t begin) const {
    if (guide_ == nullptr || step.t < config_.stop_guide_below) return;
    const double strength = config_.scale * (config_.scale_by_variance ? step.variance() : 1);
    for (int i = 0; i < config_.guide_steps; ++i) {
      x = x + strength * direction(x, t);
      inpainting.apply(x, begin);
    }
  }

  torch::Tensor direction(const torch::Tensor& x, const torch::Tensor& t) const {
    if (config_.guide_at == "x_t") return guide_->gradient(x, t).detach();
    const torch::AutoGradMode on(true);
    const torch::Tensor input = x.detach().requires_grad_(true);
    const torch::Tensor x0 = model_.predict_x0(input, t);
    const torch::Tensor pull = guide_->gradient(clipped(x0.detach()), torch::zeros_like(t)).detach();
    return torch::autograd::grad({x0}, {input}, {pull})[0];
  }

  static torch::Tensor ddpm(const torch::Tensor& x, const torch::Tensor& x0, const Transition& step,
                            std::span<Rng> noise) {
    const double total = step.b_t * step.b_t;
    torch::Tensor mean =
        step.beta() * step.a_s / total * x0 + step.a_t / step.a_s * step.b_s * step.b_s / total * x;
    if (step.b_s == 0) return mean;
    return mean + std::sqrt(step.variance()) * normal(noise, x.sizes()).to(x.device());
  }

  const DenoisingModel& model_;
  const SampleConfig& config_;
  const Guide* guide_;
  bool clip_;
  std::vector<int> levels_;
};

}  // namespace

std::vector<float> DenoisingModel::sample(int n, const std::vector<Condition>& conditions,
                                          const SampleConfig& config, const Guide* guide,
                                          std::span<Rng> noise) const {
  require(n >= 0, "n: expected at least 0 samples, got ", n);
  return denoise(n, {}, schedule().timesteps - 1, conditions, config, guide, noise);
}

std::vector<float> DenoisingModel::sample_from(std::span<const float> start, int level,
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

/// From `start`, noised, or from pure noise where it is empty.
std::vector<float> DenoisingModel::denoise(int n, std::span<const float> start, int level,
                                           const std::vector<Condition>& conditions,
                                           const SampleConfig& config, const Guide* guide,
                                           std::span<Rng> noise) const {
  validate(config);
  const torch::NoGradGuard no_grad;
  const WindowLayout& shape = layout();
  const Inpainting inpainting(*this, conditions, n);
  const Sampler sampler(*this, config, guide, level);
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
    torch::Tensor x = normal(rngs, {size, shape.horizon, shape.width()}).to(device());
    if (!start.empty()) {
      std::vector<float> clean(static_cast<std::size_t>(x.numel()));
      normalizer().normalize(start.subspan(static_cast<std::size_t>(begin * shape.size()), clean.size()),
                             clean);
      const torch::Tensor t =
          torch::full({size}, sampler.first_level(), torch::dtype(torch::kLong).device(x.device()));
      x = add_noise(torch::tensor(clean).view(x.sizes()).to(x.device()), t, x);
    }
    x = sampler.run(x, inpainting, begin, rngs).to(torch::kCPU).contiguous();
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
