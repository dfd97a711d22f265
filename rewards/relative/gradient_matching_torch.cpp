#include "rewards/relative/gradient_matching_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "agents/diffusion/noise_levels_torch.h"
#include "core/error.h"
#include "rewards/relative/learner_torch.h"

namespace diffreward {
namespace {

constexpr int kPool = 512;            // samples per question to the diffusion models
constexpr int kScaleTimesteps = 100;  // at which s_t is measured; between them log s_t is linear
constexpr int kScaleSamples = 64;     // the same at every timestep
constexpr int kReportTimesteps = 10;
constexpr int kReportSamples = 256;  // per timestep

}  // namespace

GradientMatching::GradientMatching(const DenoisingModel& expert, const DenoisingModel& base,
                                   const SampleSource& source, const ExtractConfig& config, MatchedNets nets)
    : expert_(expert),
      base_(base),
      config_(config),
      nets_(std::move(nets)),
      noised_(source, base, config),
      device_(config.device) {
  const NoiseSchedule &e = expert.schedule(), &b = base.schedule();
  require(e.kind == b.kind, "schedule.kind: expected the expert model to have the base model's ", b.kind,
          ", found ", e.kind);
  require(e.timesteps == b.timesteps,
          "schedule.timesteps: expected the expert model to have the base model's ", b.timesteps, ", found ",
          e.timesteps);
  require(e == b, "schedule: expected the expert model to have the base model's betas, found others");
}

void GradientMatching::run(const std::filesystem::path& folder) {
  measure_scales();
  train(folder);
}

GradientMatching::Field GradientMatching::field_at(const NoisedBatch& batch) const {
  const torch::Tensor base = base_.posterior_mean(batch.x_t, batch.t).to(device_);
  const torch::Device there(expert_.device());
  const torch::Tensor expert = expert_.posterior_mean(batch.x_t.to(there), batch.t.to(there)).to(device_);
  const torch::Tensor x_t = batch.x_t.to(device_);
  Field field{config_.gradient_at == "base" ? base : x_t, batch.t.to(device_), expert - base, {}};
  if (!batch.drawn.defined()) return field;
  field.drawn = batch.drawn.to(device_);
  field.x = torch::where(field.drawn > 0, field.x, x_t);
  field.difference = field.of_drawn(field.difference);
  return field;
}

/// s_t in the channels read, from both data sets. Samples and noise are the same at every t, so that s_t is as
/// smooth in t as the models are; fresh ones would give the net targets that jump from t to t.
void GradientMatching::measure_scales() {
  const int last = base_.schedule().timesteps - 1;
  const int intervals = std::min(last, kScaleTimesteps);
  int from = 0;
  difference_rms_ = {measure_rms(0)};
  for (int i = 1; i <= intervals; ++i) {
    const int to = last * i / intervals;
    const double low = std::log(difference_rms_.back()), high = std::log(measure_rms(to));
    for (int t = from + 1; t <= to; ++t)
      difference_rms_.push_back(std::exp(low + (high - low) * (t - from) / (to - from)));
    from = to;
  }
  std::vector<double> units = difference_rms_;
  if (!config_.normalize_targets) std::ranges::fill(units, 1.0);
  if (nets_.rival) ceiling_ = nets_.make(Head::kField, units);
  units_ = torch::tensor(units, torch::kDouble).to(torch::kFloat).to(device_);
}

double GradientMatching::measure_rms(int t) const {
  const Field field = field_at(noised_.draw(kScaleSamples, Part::kTrain, Draw::kScales, 0, t));
  const torch::Tensor difference = nets_.select(field.difference);
  const double count = field.drawn.defined() ? nets_.select(field.drawn).sum().item<double>()
                                             : static_cast<double>(difference.numel());
  require(count > 0, "extract: expected channels that are not given, found none to read");
  const double rms = std::sqrt(difference.square().sum().item<double>() / count);
  if (!std::isfinite(rms))
    throw Error(concat("extract: timestep ", t, ": expected a finite difference of the models, found ", rms));
  require(rms > 0, "extract: timestep ", t, ": expected models that differ, found equal outputs");
  return rms;
}

void GradientMatching::train(const std::filesystem::path& folder) {
  const torch::Tensor on_cpu = units_.to(torch::kCPU, torch::kDouble);
  const std::span<const double> units(on_cpu.const_data_ptr<double>(),
                                      static_cast<std::size_t>(on_cpu.numel()));
  Learner rho(config_, nets_.make(Head::kScalar, units), *nets_.rho);
  std::optional<Learner> rival;
  if (nets_.rival) rival.emplace(config_, nets_.make(Head::kField, units), *ceiling_);
  const torch::Tensor weights = timestep_weights(config_, base_.schedule());
  const int per_pool = std::max(1, kPool / config_.batch);  // steps
  torch::Tensor pool_x, pool_t, pool_target, pool_weight;
  if (config_.null == "untrained") return stretch_untrained();
  train_loop("extract", config_, folder, [&](std::int64_t step) -> Json {
    const std::int64_t row = step % per_pool * config_.batch;
    if (row == 0) {
      const auto number = static_cast<std::uint64_t>(step / per_pool);
      const Field field =
          field_at(noised_.draw(per_pool * config_.batch, Part::kTrain, Draw::kTraining, number));
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
    const auto part = [&](const torch::Tensor& all) { return all.narrow(0, row, config_.batch); };
    const torch::Tensor x = part(pool_x), t = part(pool_t), target = part(pool_target),
                        weight = part(pool_weight);
    Json losses = {{"loss", rho.match(rho.net().gradient(x, t), target, weight)}};
    if (rival) losses["ceiling_loss"] = rival->match(rival->net().forward(x, t), target, weight);
    return losses;
  });
}

/// A net as it was drawn, its gradient stretched to the root mean square that targets have.
void GradientMatching::stretch_untrained() {
  const torch::NoGradGuard no_grad;
  const Field field = field_at(noised_.draw(kPool, Part::kTrain, Draw::kTraining, 0));
  torch::Tensor gradient = nets_.rho->gradient(nets_.select(field.x), field.t);
  double count = static_cast<double>(gradient.numel());
  if (field.drawn.defined()) {
    const torch::Tensor drawn = nets_.select(field.drawn);
    gradient = gradient * drawn;
    count = drawn.sum().item<double>();
  }
  const double rms = std::sqrt(gradient.square().sum().item<double>() / count);
  require(rms > 0, "extract: expected a net that answers to its input, found a constant one");
  for (const auto& [name, parameter] : nets_.rho->parameters.named())
    if (name.starts_with("out.") || name == "scale") torch::Tensor(parameter).div_(rms);
}

std::vector<FieldReport> GradientMatching::report() const {
  const torch::NoGradGuard no_grad;
  const int last = base_.schedule().timesteps - 1;
  std::set<int> timesteps;
  for (int i = 0; i < kReportTimesteps; ++i) timesteps.insert(last * i / (kReportTimesteps - 1));
  std::vector<FieldReport> report;
  for (const int t : timesteps) {
    const Field field = field_at(
        noised_.draw(kReportSamples, Part::kHeldOut, Draw::kReport, static_cast<std::uint64_t>(t), t));
    const torch::Tensor x = nets_.select(field.x), read = nets_.select(field.difference);
    const double all = field.difference.square().sum().item<double>();
    const double energy = read.square().sum().item<double>();
    const torch::Tensor drawn = field.drawn.defined() ? nets_.select(field.drawn) : torch::ones_like(read);
    const auto explained = [&](const torch::Tensor& net_output) {
      return (energy - ((net_output * units_[t] - read) * drawn).square().sum().item<double>()) / all;
    };
    report.push_back({t, std::sqrt(energy / drawn.sum().item<double>()), energy / all,
                      explained(nets_.rho->gradient(x, field.t)),
                      ceiling_ ? explained(ceiling_->forward(x, field.t)) : energy / all});
  }
  return report;
}

}  // namespace diffreward
