// extract(): gradient matching on windows, then what a RelativeReward carries beside its net.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/statistics.h"
#include "rewards/relative/gradient_matching_torch.h"
#include "rewards/relative/relative_reward_torch.h"

namespace diffreward {
namespace {

constexpr int kStatisticWindows = 4096;
constexpr int kCalibrationWindows = 2048;
constexpr int kModelWindows = 16384;  // that an expert's model samples for each part

/// Throws InvalidArgument unless both sides of a property of the models are equal.
template <class T>
void require_same(const std::string& name, const T& expert, const T& base) {
  require(expert == base, name, ": expected the expert model to have the base model's ", base, ", found ",
          expert);
}

void check_models(const WindowModel& expert, const WindowModel& base) {
  const WindowLayout &e = expert.layout(), &b = base.layout();
  require_same("layout.horizon", e.horizon, b.horizon);
  require_same("layout.stride", e.stride, b.stride);
  require_same("layout.action_dim", e.action_dim, b.action_dim);
  require_same("layout.observation_dim", e.observation_dim, b.observation_dim);
  require_same_units("the expert model", expert.normalizer(), "the base model", base.normalizer());
}

Rng stream(const ExtractConfig& config, Draw of) {
  return Rng(Streams(Purpose::kExtraction, config.seed, static_cast<std::uint64_t>(of))[0]);
}

RelativeReward::BaseStatistics base_statistics(const WindowReward& reward, double nats,
                                               const WindowSource& source) {
  Rng rng = stream(reward.config, Draw::kStatistics);
  const std::vector<float> windows =
      source.base_windows(kStatisticWindows, reward.layout.horizon, Part::kTrain, rng);
  std::vector<float> scores(kStatisticWindows);
  reward.score(reward.config.read_t, windows, scores);
  const std::vector<double> values(scores.begin(), scores.end());
  // Relative to the largest, so that nothing overflows.
  const double largest = nats * std::ranges::max(values);
  double sum = 0;
  for (const double value : values) sum += std::exp(nats * value - largest);
  return {mean(values), standard_deviation(values), quantile(values, 0.99),
          largest + std::log(sum / static_cast<double>(values.size()))};
}

/// action_weight for the first row's action, scaled to mean 1, [1, rows, channels]; undefined where all weigh the same.
torch::Tensor loss_weights(const WindowReward& reward) {
  if (reward.config.action_weight == 1) return {};
  torch::Tensor weights = torch::ones({1, reward.sample.horizon, reward.sample.width()});
  weights.select(1, 0).narrow(1, 0, reward.sample.action_dim).fill_(reward.config.action_weight);
  const torch::Tensor read = reward.select(weights);
  const double middle = read.mean().item<double>();
  require(middle > 0, "action_weight: expected a channel that weighs more than 0, found none");
  return read / middle;
}

/// Denoisers begin where the models are.
void begin_as_models(RewardNet& net, const WindowModel& expert, const WindowModel& base,
                     std::span<const double> units) {
  auto* pair = dynamic_cast<DenoiserPair*>(&net);
  if (pair == nullptr) return;
  const auto *of_expert = dynamic_cast<const DiffusionModel*>(&expert),
             *of_base = dynamic_cast<const DiffusionModel*>(&base);
  require(of_expert != nullptr && of_base != nullptr,
          "net: denoisers are those of trained diffusion models, found a model of another kind");
  require(to_json(of_expert->config()) == to_json(of_base->config()),
          "net: denoisers: expected models of one config, found ", to_json(of_expert->config()).dump(),
          " and ", to_json(of_base->config()).dump());
  pair->begin_as(of_expert->impl(), of_base->impl(), units);
}

SupportModel fit_support(const WindowReward& reward, const WindowSource& source) {
  const auto read = [&](int n, int rows, Part part, Draw of) {
    Rng rng = stream(reward.config, of);
    return reward.read(source.base_windows(n, rows, part, rng), /*clip=*/false);
  };
  KdTree rows(read(reward.config.support_points, 1, Part::kTrain, Draw::kBaseRows), reward.channels.size());
  return SupportModel::fit(
      std::move(rows), read(kCalibrationWindows, reward.layout.horizon, Part::kHeldOut, Draw::kCalibration),
      static_cast<std::size_t>(reward.layout.horizon));
}

}  // namespace

std::shared_ptr<RelativeReward> extract(const WindowModel& expert, const WindowModel& base,
                                        const WindowSource& given, const ExtractConfig& config,
                                        const std::filesystem::path& folder, Ranks* ranks) {
  check_models(expert, base);
  std::unique_ptr<WindowSource> sampled;
  if (config.expert_from == "model") {
    require(config.condition_probability == 1,
            "expert_from: expected models that are given their first observation (condition_probability 1) "
            "to sample from, got ",
            config.condition_probability);
    sampled = model_windows(expert, given, kModelWindows, config.seed);
  }
  const WindowSource& source = sampled ? *sampled : given;
  WindowReward reward(config, base);
  const ModelField field(expert, base, source, reward.config, ranks);
  GradientMatching matching(field, reward.config,
                            {.make =
                                 [&](Head head, std::span<const double> units) {
                                   auto net = make_reward_net(reward.config, reward.shape(), head);
                                   if (config.null == "none") begin_as_models(*net, expert, base, units);
                                   return net;
                                 },
                             .rival = config.net != "denoisers",
                             .select = [&](const torch::Tensor& x) { return reward.select(x); },
                             .rho = reward.net.get(),
                             .weights = loss_weights(reward),
                             .ranks = ranks});
  matching.run(folder);
  std::vector<FieldReport> report = matching.report();
  const double nats =
      nats_per_unit(reward.config, reward.schedule, matching.difference_rms(), reward.config.read_t);
  const RelativeReward::BaseStatistics statistics = base_statistics(reward, nats, source);
  std::optional<RelativeReward::Fallen> fallen;
  if (const auto of_expert = source.fallen(Side::kExpert), of_base = source.fallen(Side::kBase);
      of_expert && of_base)
    fallen = {*of_expert, *of_base};
  SupportModel support = fit_support(reward, source);
  reward.provenance = {{"steps", config.steps}, {"seed", config.seed}};
  auto result = std::make_shared<RelativeReward>(std::make_unique<RelativeReward::Impl>(
      RelativeReward::Impl{std::move(reward), matching.difference_rms(), std::move(report), statistics,
                           fallen, std::move(support)}));
  if (!folder.empty()) result->save(folder / "reward.safetensors");
  return result;
}

std::shared_ptr<RelativeReward> extract(const WindowModel& expert, const WindowModel& base,
                                        const Dataset& expert_data, const Dataset& base_data,
                                        const ExtractConfig& config, const std::filesystem::path& folder) {
  check_models(expert, base);
  validate(config);
  const auto source =
      windows_of(expert_data, base_data, base.layout(), base.normalizer(), config.held_out, config.seed);
  return extract(expert, base, *source, config, folder);
}

}  // namespace diffreward
