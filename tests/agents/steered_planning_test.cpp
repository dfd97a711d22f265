// What leads a planner: guides at the posterior's mean, temperature, and the choice among candidates, on models known in
// closed form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "agents/diffusion/evidence_bound.h"
#include "agents/guide.h"
#include "agents/planner.h"
#include "core/error.h"
#include "core/statistics.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

constexpr int kTimesteps = 20;

/// Windows of one row [a, s] of which a ~ N(mean, 1) given s.
class NormalModel final : public WindowModel {
 public:
  explicit NormalModel(double mean = 0, double deviation = 1) : mean_(mean), deviation_(deviation) {}
  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    std::vector<float> values;
    for (const double abar : schedule_.alpha_bar) values.push_back(static_cast<float>(abar));
    const torch::Tensor abar = torch::tensor(values).index_select(0, t), a = x_t.select(2, 0).select(1, 0);
    const double variance = deviation_ * deviation_;
    torch::Tensor out = x_t.clone();
    out.select(2, 0).select(1, 0).copy_(mean_ + abar.sqrt() * variance * (a - abar.sqrt() * mean_) /
                                                    (abar * variance + 1 - abar));
    return out;
  }

 private:
  double mean_, deviation_;
  WindowLayout layout_{1, 1, 1, 1};
  Normalizer normalizer_{"gaussian", {0, 0}, {1, 1}};
  NoiseSchedule schedule_{"cosine", kTimesteps};
  std::string device_ = "cpu";
};

/// slope a - slope^2 / 2: of N(0, 1) against N(slope, 1) the log density ratio.
class Tilt final : public Guide {
 public:
  explicit Tilt(double slope) : slope_(slope) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    EXPECT_EQ(t.max().item<std::int64_t>(), 0) << "candidates are clean";
    return slope_ * x.select(2, 0).select(1, 0) - slope_ * slope_ / 2;
  }
  at::Tensor gradient(const at::Tensor& x, const at::Tensor&) const override {
    torch::Tensor out = torch::zeros_like(x);
    out.select(2, 0).fill_(slope_);
    return out;
  }

 private:
  double slope_;
};

constexpr std::size_t kInstances = 400;

/// Of what the chain of so few levels samples from N(0, 1): each step is x <- (c0 sqrt(abar) + ct) x + temperature sqrt(var) z.
double chain_deviation(double temperature = 1) {
  const NormalModel model;
  const NoiseSchedule& schedule = model.schedule();
  double variance = temperature * temperature;
  for (int t = kTimesteps - 1; t >= 0; --t) {
    const auto level = static_cast<std::size_t>(t);
    const double gain =
        schedule.posterior_x0[level] * std::sqrt(schedule.alpha_bar[level]) + schedule.posterior_xt[level];
    const double noise = t > 0 ? schedule.posterior_variance[level] : 0;
    variance = gain * gain * variance + temperature * temperature * noise;
  }
  return std::sqrt(variance);
}

std::vector<double> actions_of(const PlannerConfig& config, const Guide* judge, std::uint64_t seed = 1) {
  const NormalModel model;
  Planner planner(model, {.seed = seed}, config, nullptr, judge);
  const std::vector<double> obs(kInstances, 0.5);
  std::vector<double> actions(kInstances);
  planner.act({.obs = obs}, actions);
  return actions;
}

TEST(SteeredPlanning, OfCandidatesTheBestTheWorstOrADrawnOneIsFollowed) {
  const Tilt judge(1);
  const std::vector<double> alone = actions_of({}, nullptr), best = actions_of({.candidates = 8}, &judge),
                            worst = actions_of({.candidates = 8, .choose = "worst"}, &judge);
  for (std::size_t i = 0; i < kInstances; ++i) {
    EXPECT_GE(best[i], alone[i] - 1e-5) << "the first candidate is the plan that would be made alone";
    EXPECT_LE(worst[i], alone[i] + 1e-5);
  }
  // Mean of the largest of 8 standard normals: 1.4236 (Harter 1961).
  EXPECT_NEAR(mean(best), 1.4236 * chain_deviation(), 0.08);
  EXPECT_NEAR(mean(worst), -1.4236 * chain_deviation(), 0.08);
  EXPECT_EQ(actions_of({.candidates = 8}, &judge), best) << "equal seeds";
}

TEST(SteeredPlanning, SoftChoiceByALogDensityRatioGivesTheExpert) {
  const Tilt judge(0.8);
  const std::vector<double> soft = actions_of({.candidates = 64, .choose = "soft"}, &judge);
  // N(0, v) tilted by exp(0.8 a) is N(0.8 v, v).
  const double deviation = chain_deviation();
  EXPECT_NEAR(mean(soft), 0.8 * deviation * deviation, 0.12);
  EXPECT_NEAR(standard_deviation(soft), deviation, 0.1);
  const std::vector<double> warm = actions_of({.candidates = 64, .choose = "soft", .softness = 1e6}, &judge);
  EXPECT_NEAR(mean(warm), 0, 0.12) << "any of them";
}

TEST(SteeredPlanning, CandidatesNeedAJudgeWithFiniteValues) {
  EXPECT_THAT(message_of<InvalidArgument>([] { actions_of({.candidates = 4}, nullptr); }),
              HasSubstr("candidates: expected a judge of 4"));
  class Broken final : public Guide {
    at::Tensor value(const at::Tensor& x, const at::Tensor&) const override {
      return torch::full({x.size(0)}, std::nan(""));
    }
  };
  const Broken broken;
  EXPECT_THAT(message_of<Error>([&] { actions_of({.candidates = 4}, &broken); }),
              HasSubstr("expected finite values"));
}

TEST(SteeredPlanning, WithoutNoiseAGuideAtTheMeanMovesEveryStepByItsGradient) {
  const NormalModel model;
  const Tilt push(0.01);
  const SampleConfig config{.scale = 3, .guide_at = "mean", .temperature = 0};
  const float a = model.sample(1, {{0, {0.5F}}}, config, &push).at(0);
  // x <- c0 x_0(x) + ct x + scale slope from 0 noise, x_0 = sqrt(abar) x.
  double x = 0;
  const NoiseSchedule& schedule = model.schedule();
  for (int t = kTimesteps - 1; t >= 0; --t) {
    const auto level = static_cast<std::size_t>(t);
    x = (schedule.posterior_x0[level] * std::sqrt(schedule.alpha_bar[level]) + schedule.posterior_xt[level]) *
            x +
        3 * 0.01;
  }
  EXPECT_NEAR(a, x, 1e-5);
  EXPECT_GT(x, 0.05);
  EXPECT_THAT(message_of<InvalidArgument>(
                  [&] { model.sample(1, {}, {.sampler = "ddim", .guide_at = "mean"}, &push); }),
              HasSubstr("guide_at: expected the sampler ddpm"));
}

TEST(SteeredPlanning, LowerTemperatureNarrowsWhatIsSampled) {
  const NormalModel model;
  const auto deviation = [&](double temperature) {
    const std::vector<float> windows = model.sample(2000, {{0, {0.5F}}}, {.temperature = temperature});
    std::vector<double> actions;
    for (std::size_t i = 0; i < windows.size(); i += 2) actions.push_back(double{windows[i]});
    return standard_deviation(actions);
  };
  EXPECT_NEAR(deviation(1), chain_deviation(), 0.05);
  EXPECT_NEAR(deviation(0.5), chain_deviation(0.5), 0.03);
  EXPECT_NEAR(chain_deviation(0.5), chain_deviation() / 2, 1e-9) << "the chain is linear";
  EXPECT_EQ(deviation(0), 0);
}

/// On a normal density the bound is a parabola, as the log density is, and what is given costs nothing.
TEST(EvidenceBound, RanksWindowsAsTheDensityDoes) {
  const NormalModel model(0.7, 0.5);
  const EvidenceBound bound(model);
  std::vector<float> windows;
  std::vector<double> log_density;
  for (int i = -20; i <= 20; ++i) {
    const double a = 0.1 * i;
    windows.insert(windows.end(), {static_cast<float>(a), static_cast<float>(i)});
    log_density.push_back(-0.5 * std::pow((a - 0.7) / 0.5, 2));
  }
  const std::vector<double> values = model.values(bound, windows, 0);
  EXPECT_GT(pearson(values, log_density), 0.97);
  EXPECT_EQ(model.values(bound, windows, 0), values);
  const std::vector<float> elsewhere = {0.7F, 0, 0.7F, 100};
  const std::vector<double> same = model.values(bound, elsewhere, 0);
  EXPECT_EQ(same[0], same[1]) << "the observation is given";
}

}  // namespace
}  // namespace diffreward
