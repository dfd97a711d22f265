#include "rewards/relative/gradient_matching_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "agents/diffusion/noise_levels_torch.h"
#include "agents/nets/undivided.h"
#include "core/error.h"
#include "rewards/relative/learner_torch.h"

namespace diffreward {
namespace {

constexpr int kPool = 512;            // samples per question to the diffusion models
constexpr int kScaleTimesteps = 100;  // at which s_t is measured; between them log s_t is linear
constexpr int kScaleSamples = 64;     // the same at every timestep
constexpr int kReportTimesteps = 10;
constexpr int kReportSamples = 256;  // per timestep

double energy_of(const torch::Tensor& values) {
  double sum = 0;
  undivided([&] { sum = values.square().sum().item<double>(); });
  return sum;
}

/// At most n of them, evenly, with the first and the last.
std::vector<int> spread(const std::vector<int>& all, int n) {
  const std::size_t last = all.size() - 1, intervals = std::min(last, static_cast<std::size_t>(n - 1));
  std::vector<int> some = {all.front()};
  for (std::size_t i = 1; i <= intervals; ++i) some.push_back(all[last * i / intervals]);
  return some;
}

}  // namespace

GradientMatching::GradientMatching(const DifferenceField& field, const ExtractConfig& config,
                                   MatchedNets nets)
    : field_(field), config_(config), nets_(std::move(nets)), device_(config.device) {}

void GradientMatching::run(const std::filesystem::path& folder) {
  measure_scales();
  train(folder);
}

/// s_t in the channels read, from both data sets. Samples and noise are the same at every t, so that s_t is as
/// smooth in t as the models are; fresh ones would give the net targets that jump from t to t.
void GradientMatching::measure_scales() {
  const int timesteps = field_.schedule().timesteps;
  int from = 0;
  difference_rms_.clear();
  for (const int to : spread(field_.timesteps(), kScaleTimesteps + 1)) {
    const double high = std::log(measure_rms(to));
    const double low = difference_rms_.empty() ? high : std::log(difference_rms_.back());
    // Below the first they are as at the first.
    for (int t = static_cast<int>(difference_rms_.size()); t <= to; ++t)
      difference_rms_.push_back(std::exp(from == to ? high : low + (high - low) * (t - from) / (to - from)));
    from = to;
  }
  difference_rms_.resize(static_cast<std::size_t>(timesteps), difference_rms_.back());
  std::vector<double> units = difference_rms_;
  if (!config_.normalize_targets) std::ranges::fill(units, 1.0);
  if (nets_.rival) ceiling_ = nets_.make(Head::kField, units);
  units_ = torch::tensor(units, torch::kDouble).to(torch::kFloat).to(device_);
}

double GradientMatching::measure_rms(int t) const {
  const FieldPoints field = field_.draw(kScaleSamples, Part::kTrain, Draw::kScales, 0, t);
  const torch::Tensor difference = nets_.select(field.difference);
  const double count = field.drawn.defined() ? nets_.select(field.drawn).sum().item<double>()
                                             : static_cast<double>(difference.numel());
  require(count > 0, "extract: expected channels that are not given, found none to read");
  const double rms = std::sqrt(energy_of(difference) / count);
  if (!std::isfinite(rms))
    throw Error(concat("extract: timestep ", t, ": expected a finite difference of the models, found ", rms));
  require(rms > 0, "extract: timestep ", t, ": expected models that differ, found equal outputs");
  return rms;
}

void GradientMatching::train(const std::filesystem::path& folder) {
  const torch::Tensor on_cpu = units_.to(torch::kCPU, torch::kDouble);
  const std::span<const double> units(on_cpu.const_data_ptr<double>(),
                                      static_cast<std::size_t>(on_cpu.numel()));
  Learner rho(config_, nets_.make(Head::kScalar, units), *nets_.rho, nets_.ranks);
  std::optional<Learner> rival;
  if (nets_.rival) rival.emplace(config_, nets_.make(Head::kField, units), *ceiling_, nets_.ranks);
  const torch::Tensor weights = timestep_weights(config_, field_.schedule());
  const int per_pool = std::max(1, kPool / config_.batch);  // steps
  torch::Tensor pool_x, pool_t, pool_target, pool_weight;
  if (config_.null == "untrained") return stretch_untrained();
  train_loop("extract", config_, folder, [&](std::int64_t step) -> Json {
    const std::int64_t row = step % per_pool * config_.batch;
    if (row == 0) {
      const auto number = static_cast<std::uint64_t>(step / per_pool);
      const FieldPoints field =
          field_.draw(per_pool * config_.batch, Part::kTrain, Draw::kTraining, number, {});
      pool_x = nets_.select(field.x);
      pool_t = field.t;
      pool_target = nets_.select(field.difference) / at_timesteps(units_, pool_t, pool_x.dim());
      pool_weight = at_timesteps(weights, pool_t, pool_x.dim());
      if (nets_.weights.defined()) pool_weight = pool_weight * nets_.weights;
      // What is given is no target. Losses are means over all numbers, so the others count for it.
      if (field.drawn.defined()) {
        const torch::Tensor drawn = nets_.select(field.drawn);
        pool_weight = pool_weight * drawn / drawn.mean();
      }
      if (config_.null == "shuffled")
        pool_target = pool_target.index_select(
            0, shuffled_order(pool_target.size(0), config_, number).to(pool_target.device()));
    }
    const auto here = [&](const torch::Tensor& all) { return all.narrow(0, row, config_.batch); };
    const torch::Tensor x = here(pool_x), t = here(pool_t), target = here(pool_target),
                        weight = here(pool_weight);
    const auto gradient = [&](const BatchPart& part) { return rho.net().gradient(part(x), part(t)); };
    const auto vector = [&](const BatchPart& part) { return rival->net().forward(part(x), part(t)); };
    Json losses = {{"loss", rho.match(gradient, target, weight)}};
    if (rival) losses["ceiling_loss"] = rival->match(vector, target, weight);
    return losses;
  });
}

/// A net as it was drawn, its gradient stretched to the root mean square that targets have.
void GradientMatching::stretch_untrained() {
  const torch::NoGradGuard no_grad;
  const FieldPoints field = field_.draw(kPool, Part::kTrain, Draw::kTraining, 0, {});
  torch::Tensor gradient = nets_.rho->gradient(nets_.select(field.x), field.t);
  double count = static_cast<double>(gradient.numel());
  if (field.drawn.defined()) {
    const torch::Tensor drawn = nets_.select(field.drawn);
    gradient = gradient * drawn;
    count = drawn.sum().item<double>();
  }
  const double rms = std::sqrt(energy_of(gradient) / count);
  require(rms > 0, "extract: expected a net that answers to its input, found a constant one");
  for (const auto& [name, parameter] : nets_.rho->parameters.named())
    if (name.starts_with("out.") || name == "scale") torch::Tensor(parameter).div_(rms);
}

std::vector<FieldReport> GradientMatching::report() const {
  const torch::NoGradGuard no_grad;
  std::vector<FieldReport> report;
  for (const int t : spread(field_.timesteps(), kReportTimesteps)) {
    const FieldPoints field =
        field_.draw(kReportSamples, Part::kHeldOut, Draw::kReport, static_cast<std::uint64_t>(t), t);
    const torch::Tensor x = nets_.select(field.x), read = nets_.select(field.difference);
    const double all = energy_of(field.difference);
    const double energy = energy_of(read);
    const torch::Tensor drawn = field.drawn.defined() ? nets_.select(field.drawn) : torch::ones_like(read);
    const auto explained = [&](const torch::Tensor& net_output) {
      return (energy - energy_of((net_output * units_[t] - read) * drawn)) / all;
    };
    report.push_back({t, std::sqrt(energy / drawn.sum().item<double>()), energy / all,
                      explained(nets_.rho->gradient(x, field.t)),
                      ceiling_ ? explained(ceiling_->forward(x, field.t)) : energy / all});
  }
  return report;
}

}  // namespace diffreward
