#include "rewards/relative/learner_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "agents/nets/nets_torch.h"
#include "core/error.h"
#include "core/progress.h"

namespace diffreward {
namespace {

constexpr double kAverage = 0.99;       // decay of the averaged weights
constexpr double kLargestWeight = 5;    // of a timestep with t_weight = snr, before they are scaled to mean 1
constexpr int kDdimSteps = 50;          // of t_weight = paper
constexpr std::int64_t kLogEvery = 50;  // steps

}  // namespace

Learner::Learner(const ExtractConfig& config, std::unique_ptr<RewardNet> net, RewardNet& kept, Ranks* ranks)
    : net_(std::move(net)),
      config_(config),
      optimizer_(net_->parameters, &kept.parameters),
      parts_(config.accumulate, ranks) {}

OptimizerSettings Learner::settings() const {
  const double progress = static_cast<double>(optimizer_.steps()) / static_cast<double>(config_.steps);
  return {.lr = scheduled_rate(config_.lr, config_.lr_schedule, progress),
          .weight_decay = config_.weight_decay,
          .ema = kAverage,
          .gradient_clip = 0};
}

double Learner::step(const torch::Tensor& loss) {
  loss.backward();
  optimizer_.step(settings(), 0);
  return loss.item<double>();
}

double Learner::match(const std::function<torch::Tensor(const BatchPart&)>& output,
                      const torch::Tensor& target, const torch::Tensor& weights) {
  const double loss = parts_.sum(target.size(0), optimizer_.gradient(), [&](const BatchPart& part) {
    return add_square_error_gradient(output(part), part(target), part(weights), part.share());
  });
  optimizer_.step(settings(), 0);
  return loss;
}

torch::Tensor timestep_weights(const ExtractConfig& config, const NoiseSchedule& schedule) {
  torch::Tensor weights = torch::ones({schedule.timesteps});
  const auto bar = [&](int t) { return t < 0 ? 1.0 : schedule.alpha_bar[static_cast<std::size_t>(t)]; };
  const int stride = std::max(1, schedule.timesteps / kDdimSteps);
  const auto weight_at = [&](int t) {
    const double noise = 1 - bar(t), before = bar(t - stride);
    if (config.t_weight == "snr") return std::min(bar(t) / noise, kLargestWeight);
    if (config.t_weight == "variance") return noise;
    if (config.t_weight == "paper")  // x before a step less x after it, per eps, of DDIM
      return std::pow(std::sqrt(1 - before) - std::sqrt(before * noise / bar(t)), 2);
    return 1.0;
  };
  for (int t = 0; t < schedule.timesteps; ++t) weights[t] = weight_at(t);
  return (weights / weights.mean()).to(torch::Device(config.device));
}

void train_loop(const std::string& name, const ExtractConfig& config, const std::filesystem::path& folder,
                const std::function<Json(std::int64_t)>& step) {
  TrainingLog log(folder.empty() ? "" : folder / "metrics.jsonl", 0);
  Progress progress(name, config.steps, "steps");
  for (std::int64_t k = 0; k < config.steps; ++k) {
    const Json losses = step(k);
    for (const auto& [key, value] : losses.items())
      if (!std::isfinite(value.get<double>()))
        throw Error(concat(name, ": step ", k, ": expected a finite ", key, ", found ", value.get<double>()));
    if ((k + 1) % kLogEvery == 0 || k + 1 == config.steps) {
      Json line = {{"step", k + 1}};
      line.update(losses);
      log.write(line);
    }
    progress.advance(1, concat("loss ", std::round(1e4 * losses.front().get<double>()) / 1e4));
  }
}

}  // namespace diffreward
