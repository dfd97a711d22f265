// extract(): gradient matching on noised windows of expert and base data (docs/design/0002-training-rho.md).
//
// The two diffusion models are asked in pools of many windows, of which each training step takes a part;
// their two forward passes are most of the work. Beside rho an unconstrained vector net of the same trunk
// learns the same targets from the same batches: how much of the field it explains is the ceiling that rho is
// reported against.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/statistics.h"
#include "rewards/relative/learner_net.h"
#include "rewards/relative/noised_windows_net.h"
#include "rewards/relative/relative_reward_net.h"

namespace diffreward {
namespace {

constexpr int kPool = 512;            // windows per question to the diffusion models
constexpr int kScaleTimesteps = 100;  // at which s_t is measured; between them log s_t is linear
constexpr int kScaleWindows = 64;     // the same at every timestep
constexpr int kReportTimesteps = 10;
constexpr int kReportWindows = 256;  // per timestep
constexpr int kStatisticWindows = 4096;
constexpr int kCalibrationWindows = 2048;

/// Throws InvalidArgument unless both sides of a property of the models are equal.
template <class T>
void require_same(const std::string& name, const T& expert, const T& base) {
  require(expert == base, name, ": expected the expert model to have the base model's ", base, ", found ",
          expert);
}

void check_models(const DenoisingModel& expert, const DenoisingModel& base) {
  const WindowLayout &e = expert.layout(), &b = base.layout();
  require_same("layout.horizon", e.horizon, b.horizon);
  require_same("layout.stride", e.stride, b.stride);
  require_same("layout.action_dim", e.action_dim, b.action_dim);
  require_same("layout.observation_dim", e.observation_dim, b.observation_dim);
  require_same("schedule.kind", expert.schedule().kind, base.schedule().kind);
  require_same("schedule.timesteps", expert.schedule().timesteps, base.schedule().timesteps);
  const Normalizer &en = expert.normalizer(), &bn = base.normalizer();
  require_same("normalizer.kind", en.kind(), bn.kind());
  require_same("normalizer.columns", en.columns(), bn.columns());
  for (std::size_t c = 0; c < bn.columns(); ++c) {
    require_same("normalizer.offset[" + std::to_string(c) + "]", en.offset()[c], bn.offset()[c]);
    require_same("normalizer.scale[" + std::to_string(c) + "]", en.scale()[c], bn.scale()[c]);
  }
}

/// The difference field at some points.
struct Field {
  torch::Tensor x;           // [n, horizon, width]  where the gradient is matched
  torch::Tensor t;           // [n]
  torch::Tensor difference;  // [n, horizon, width]  mu_expert - mu_base
};

class Extraction {
 public:
  Extraction(const DenoisingModel& expert, const DenoisingModel& base, const Dataset& expert_data,
             const Dataset& base_data, const ExtractConfig& config)
      : expert_(expert),
        base_(base),
        config_(config),
        reward_(config, base.layout(), base.normalizer(), base.schedule()),
        noised_(expert_data, base_data, base, config_),
        device_(config.device),
        ceiling_(make_reward_net(config, reward_.shape(), Head::kField)) {}

  std::shared_ptr<RelativeReward> run(const std::filesystem::path& folder) {
    measure_scales();
    train(folder);
    std::vector<FieldReport> report = make_report();
    const RelativeReward::BaseStatistics statistics = base_statistics();
    SupportModel support = fit_support();
    reward_.provenance = {{"steps", config_.steps}, {"seed", config_.seed}};
    return std::make_shared<RelativeReward>(std::make_unique<RelativeReward::Impl>(RelativeReward::Impl{
        std::move(reward_), std::move(difference_rms_), std::move(report), statistics, std::move(support)}));
  }

 private:
  using Part = NoisedWindows::Part;

  Field field_at(const NoisedBatch& batch) const {
    const torch::Tensor base = base_.posterior_mean(batch.x_t, batch.t).to(device_);
    const torch::Device there(expert_.device());
    const torch::Tensor expert = expert_.posterior_mean(batch.x_t.to(there), batch.t.to(there)).to(device_);
    return {config_.gradient_at == "base" ? base : batch.x_t.to(device_), batch.t.to(device_), expert - base};
  }

  /// s_t in the channels read, from both data sets. Windows and noise are the same at every t, so that s_t is
  /// as smooth in t as the models are; fresh ones would give the net targets that jump from t to t.
  void measure_scales() {
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
    units_ = torch::tensor(units, torch::kDouble).to(torch::kFloat).to(device_);
  }

  double measure_rms(int t) const {
    const Field field = field_at(noised_.draw(kScaleWindows, Part::kTrain, NoisedWindows::kScales, 0, t));
    const double rms = reward_.select(field.difference).square().mean().sqrt().item<double>();
    if (!std::isfinite(rms))
      throw Error(
          concat("extract: timestep ", t, ": expected a finite difference of the models, found ", rms));
    require(rms > 0, "extract: timestep ", t, ": expected models that differ, found equal outputs");
    return rms;
  }

  void train(const std::filesystem::path& folder) {
    Learner rho(config_, reward_.shape(), Head::kScalar, *reward_.net);
    Learner rival(config_, reward_.shape(), Head::kField, *ceiling_);
    const torch::Tensor weights = timestep_weights(config_, base_.schedule());
    const int per_pool = std::max(1, kPool / config_.batch);  // steps
    torch::Tensor pool_x, pool_t, pool_target, pool_weight;
    train_loop("extract", config_, folder, [&](std::int64_t step) -> Json {
      const std::int64_t row = step % per_pool * config_.batch;
      if (row == 0) {
        const auto number = static_cast<std::uint64_t>(step / per_pool);
        const Field field =
            field_at(noised_.draw(per_pool * config_.batch, Part::kTrain, NoisedWindows::kTraining, number));
        pool_x = reward_.select(field.x);
        pool_t = field.t;
        pool_target = reward_.select(field.difference) / units_.index_select(0, pool_t).view({-1, 1, 1});
        pool_weight = weights.index_select(0, pool_t).view({-1, 1, 1});
      }
      const auto part = [&](const torch::Tensor& all) { return all.narrow(0, row, config_.batch); };
      const torch::Tensor x = part(pool_x), t = part(pool_t), target = part(pool_target),
                          weight = part(pool_weight);
      const double rho_loss = rho.match(rho.net().gradient(x, t), target, weight);
      return {{"loss", rho_loss}, {"ceiling_loss", rival.match(rival.net().forward(x, t), target, weight)}};
    });
  }

  std::vector<FieldReport> make_report() const {
    const torch::NoGradGuard no_grad;
    const int last = base_.schedule().timesteps - 1;
    std::set<int> timesteps;
    for (int i = 0; i < kReportTimesteps; ++i) timesteps.insert(last * i / (kReportTimesteps - 1));
    std::vector<FieldReport> report;
    for (const int t : timesteps) {
      const auto number = static_cast<std::uint64_t>(t);
      const Field field =
          field_at(noised_.draw(kReportWindows, Part::kHeldOut, NoisedWindows::kReport, number, t));
      const torch::Tensor x = reward_.select(field.x), read = reward_.select(field.difference);
      const double all = field.difference.square().sum().item<double>();
      const double energy = read.square().sum().item<double>();
      const auto explained = [&](const torch::Tensor& net_output) {
        return (energy - (net_output * units_[t] - read).square().sum().item<double>()) / all;
      };
      report.push_back({t, std::sqrt(energy / static_cast<double>(read.numel())), energy / all,
                        explained(reward_.net->gradient(x, field.t)),
                        explained(ceiling_->forward(x, field.t))});
    }
    return report;
  }

  RelativeReward::BaseStatistics base_statistics() const {
    const std::vector<float> windows = noised_.base_windows(kStatisticWindows, reward_.layout.horizon,
                                                            Part::kTrain, NoisedWindows::kStatistics);
    std::vector<float> scores(kStatisticWindows);
    reward_.score(config_.read_t, windows, scores);
    const std::vector<double> values(scores.begin(), scores.end());
    return {mean(values), standard_deviation(values), quantile(values, 0.99)};
  }

  SupportModel fit_support() const {
    const auto read = [&](int n, int horizon, Part part, NoisedWindows::Stream stream) {
      return reward_.read(noised_.base_windows(n, horizon, part, stream), /*clip=*/false);
    };
    KdTree rows(read(config_.support_points, 1, Part::kTrain, NoisedWindows::kBaseRows),
                reward_.channels.size());
    return SupportModel::fit(
        std::move(rows),
        read(kCalibrationWindows, reward_.layout.horizon, Part::kHeldOut, NoisedWindows::kCalibration),
        static_cast<std::size_t>(reward_.layout.horizon));
  }

  const DenoisingModel &expert_, &base_;
  const ExtractConfig config_;
  WindowReward reward_;
  NoisedWindows noised_;
  torch::Device device_;
  std::unique_ptr<RewardNet> ceiling_;
  std::vector<double> difference_rms_;  // [timesteps]
  torch::Tensor units_;                 // [timesteps]
};

}  // namespace

std::shared_ptr<RelativeReward> extract(const DenoisingModel& expert, const DenoisingModel& base,
                                        const Dataset& expert_data, const Dataset& base_data,
                                        const ExtractConfig& config, const std::filesystem::path& folder) {
  check_models(expert, base);
  auto reward = Extraction(expert, base, expert_data, base_data, config).run(folder);
  if (!folder.empty()) reward->save(folder / "reward.safetensors");
  return reward;
}

}  // namespace diffreward
