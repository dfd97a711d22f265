#include "agents/diffusion/sampler.h"

#include <torch/torch.h>

#include <cmath>
#include <utility>

#include "agents/guide.h"
#include "agents/nets/noise_torch.h"
#include "core/error.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

/// The visited noise levels, T - 1 down to 0, evenly spaced, without those above `highest`.
std::vector<int> visited_levels(const SampleConfig& config, int timesteps, int highest) {
  validate(config);
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

}  // namespace

/// One step of the chain from level t to level s, in doubles.
struct Sampler::Transition {
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

Sampler::Sampler(const DenoisingModel& model, const SampleConfig& config, const Guide* guide, int highest)
    : model_(model),
      config_(config),
      guide_(config.scale != 0 ? guide : nullptr),
      levels_(visited_levels(config, model.schedule().timesteps, highest)) {
  require(config.guide_at != "mean" || config.sampler == "ddpm",
          "guide_at: expected the sampler ddpm, which has a posterior, for the mean, got ", config.sampler);
}

at::Tensor Sampler::run(at::Tensor x, std::span<Rng> noise,
                        const std::function<void(at::Tensor&)>& hold) const {
  const torch::NoGradGuard no_grad;
  if (hold) hold(x);
  torch::Tensor before;  // the x_0 predicted at the step before
  double h_before = 0;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    check_interrupt();
    const Transition step(model_.schedule(), levels_[i], i + 1 < levels_.size() ? levels_[i + 1] : -1);
    const torch::Tensor t = torch::full({x.size(0)}, step.t, torch::dtype(torch::kLong).device(x.device()));
    const auto move = [&](torch::Tensor at) { return guided(std::move(at), t, step, hold); };
    const bool at_mean = config_.guide_at == "mean", at_score = config_.guide_at == "score";
    if (!at_mean && !at_score) x = move(x);
    torch::Tensor x0 = model_.predict_x0(x, t);
    if (at_score && strength(step) != 0)
      x0 = x0 + strength(step) / model_.schedule().posterior_x0[static_cast<std::size_t>(step.t)] *
                    guide_->gradient(x, t).detach();
    x0 = clipped(x0);
    if (config_.sampler == "ddpm") {
      x = ddpm(x, x0, step, noise, at_mean ? move : std::function<torch::Tensor(torch::Tensor)>());
    } else if (config_.sampler == "ddim" || step.b_s == 0) {  // DPM-Solver++'s last step is this one too
      x = step.a_s * x0 + step.b_s / step.b_t * (x - step.a_t * x0);
    } else {
      const double h = step.log_ratio_step();
      const torch::Tensor d = before.defined() ? x0 + (x0 - before) * (h / (2 * h_before)) : x0;
      x = step.b_s / step.b_t * x - step.a_s * std::expm1(-h) * d;
      before = x0;
      h_before = h;
    }
    if (hold) hold(x);
  }
  return x;
}

at::Tensor Sampler::clipped(const at::Tensor& x0) const {
  return config_.clip ? x0.clamp(-1, 1) : x0;
}

at::Tensor Sampler::guided(at::Tensor x, const at::Tensor& t, const Transition& step,
                           const std::function<void(at::Tensor&)>& hold) const {
  const double by = strength(step);
  if (by == 0) return x;
  for (int i = 0; i < config_.guide_steps; ++i) {
    x = x + by * direction(x, t);
    if (hold) hold(x);
  }
  return x;
}

double Sampler::strength(const Transition& step) const {
  if (guide_ == nullptr || step.t < config_.stop_guide_below) return 0;
  return config_.scale * (config_.scale_by_variance ? step.variance() : 1);
}

at::Tensor Sampler::direction(const at::Tensor& x, const at::Tensor& t) const {
  if (config_.guide_at != "x0") return guide_->gradient(x, t).detach();
  const torch::AutoGradMode on(true);
  const torch::Tensor input = x.detach().requires_grad_(true);
  const torch::Tensor x0 = model_.predict_x0(input, t);
  const torch::Tensor pull = guide_->gradient(clipped(x0.detach()), torch::zeros_like(t)).detach();
  return torch::autograd::grad({x0}, {input}, {pull})[0];
}

/// `move`: of the posterior's mean.
at::Tensor Sampler::ddpm(const at::Tensor& x, const at::Tensor& x0, const Transition& step,
                         std::span<Rng> noise, const std::function<at::Tensor(at::Tensor)>& move) const {
  const double total = step.b_t * step.b_t;
  torch::Tensor mean =
      step.beta() * step.a_s / total * x0 + step.a_t / step.a_s * step.b_s * step.b_s / total * x;
  if (move) mean = move(std::move(mean));
  if (step.b_s == 0) return mean;
  return mean + config_.temperature * std::sqrt(step.variance()) * normal(noise, x.sizes()).to(x.device());
}

}  // namespace diffreward
