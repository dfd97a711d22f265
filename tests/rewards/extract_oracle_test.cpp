// Extraction against closed forms: the log density ratio of Gaussians and of mixtures, and a difference field
// whose conservative part is known.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <numeric>

#include "core/progress.h"
#include "core/statistics.h"
#include "rewards/guides.h"
#include "rewards/relative/relative_reward.h"
#include "rewards/relative/sample_source.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

using testing::MixtureModel;
using testing::Noised;
using testing::noised_samples;
using testing::numbers;

constexpr int kTimesteps = 100;
const NoiseSchedule kSchedule("cosine", kTimesteps);

class ExtractOracle : public ::testing::Test {
 protected:
  void SetUp() override { Progress::silence(); }
};

ExtractConfig settings(const std::string& gradient_at) {
  ExtractConfig config;
  config.gradient_at = gradient_at;
  config.batch = 128;
  config.steps = 1500;
  return config;
}

/// Least-squares slope of y over x.
double slope(const std::vector<double>& x, const std::vector<double>& y) {
  return pearson(x, y) * standard_deviation(y) / standard_deviation(x);
}

struct Agreement {
  double correlation, slope;  // of nats_per_unit rho with log p_expert - log p_base
};

/// At timestep t, on samples of x_t from both models. With gradient_at = base, rho is read at the base's
/// posterior mean of x_t, where it was trained, and compared with the log ratio at x_t: exact where that mean
/// is an isotropic affine map of x_t, else up to the map's anisotropy.
Agreement agreement(const RelativeReward& rho, const MixtureModel& expert, const MixtureModel& base, int t) {
  const Noised at = noised_samples(expert, base, 1000, t, 1000 + static_cast<std::uint64_t>(t));
  const bool at_base = rho.config().gradient_at == "base";
  const torch::Tensor x = at_base ? base.posterior_mean(at.x_t, at.t) : at.x_t;
  const std::vector<double> learned = numbers(rho.value(x, at.t) * rho.nats_per_unit(t));
  const std::vector<double> truth =
      numbers(expert.log_density(at.x_t, at.t) - base.log_density(at.x_t, at.t));
  return {pearson(learned, truth), slope(truth, learned)};
}

/// A positive correlation tests the sign; the slope tests the units.
void expect_log_ratio(const MixtureModel& expert, const MixtureModel& base, const std::string& gradient_at) {
  const auto rho = extract(expert, base, expert.data(2000, 1), base.data(2000, 2), settings(gradient_at));
  for (int t = 0; t < kTimesteps / 2; ++t) {
    const Agreement found = agreement(*rho, expert, base, t);
    EXPECT_GE(found.correlation, 0.97) << "t " << t << ", gradient at " << gradient_at;
    if (gradient_at == "x_t") {
      EXPECT_NEAR(found.slope, 1, 0.15) << "t " << t;
    }
  }
}

TEST_F(ExtractOracle, GaussianPair) {
  const MixtureModel base({{1, {0.0, 0.0}, {0.30, 0.10, 0.10, 0.20}}}, 4, kSchedule);
  const MixtureModel expert({{1, {0.4, -0.2}, {0.20, -0.05, -0.05, 0.15}}}, 4, kSchedule);
  expect_log_ratio(expert, base, "x_t");
  expect_log_ratio(expert, base, "base");
}

TEST_F(ExtractOracle, MixturePair) {
  const std::vector<double> round = {0.04, 0, 0, 0.04};
  const MixtureModel base({{0.25, {-0.5, -0.5}, round},
                           {0.25, {-0.5, 0.5}, round},
                           {0.25, {0.5, -0.5}, round},
                           {0.25, {0.5, 0.5}, round}},
                          1, kSchedule);
  const MixtureModel expert({{0.1, {-0.5, -0.5}, round}, {0.2, {-0.5, 0.5}, round}, {0.7, {0.5, 0.5}, round}},
                            1, kSchedule);
  expect_log_ratio(expert, base, "x_t");
  expect_log_ratio(expert, base, "base");
}

/// A model whose denoiser is an isotropic zero-mean Gaussian's plus `turn` times the difference to another
/// such model, turned by 90 degrees: a rotation field, which is orthogonal to every gradient field under a
/// round density.
class TurnedModel final : public WindowModel {
 public:
  TurnedModel(const MixtureModel& model, const MixtureModel& other, double turn)
      : model_(model), other_(other), turn_(turn) {}
  const WindowLayout& layout() const override { return model_.layout(); }
  const Normalizer& normalizer() const override { return model_.normalizer(); }
  const NoiseSchedule& schedule() const override { return model_.schedule(); }
  const std::string& device() const override { return model_.device(); }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    const torch::Tensor here = model_.predict_x0(x_t, t), d = here - other_.predict_x0(x_t, t);
    const torch::Tensor turned = torch::stack({-d.select(2, 1), d.select(2, 0)}, 2);
    return here + turn_ * turned;
  }

 private:
  const MixtureModel &model_, &other_;
  double turn_;
};

TEST_F(ExtractOracle, RotationIsProjectedAwayAndReported) {
  const MixtureModel base({{1, {0, 0}, {0.5, 0, 0, 0.5}}}, 1, kSchedule);
  const MixtureModel conservative({{1, {0, 0}, {0.15, 0, 0, 0.15}}}, 1, kSchedule);
  const double turn = 0.75, share = 1 / (1 + turn * turn);
  const TurnedModel expert(conservative, base, turn);
  const auto rho = extract(expert, base, conservative.data(4000, 1), base.data(4000, 2), settings("x_t"));

  for (const FieldReport& at : rho->field_report()) {
    if (at.t >= kTimesteps * 3 / 4) continue;
    EXPECT_NEAR(at.conservativeness, share, 0.03) << "t " << at.t;
    EXPECT_GE(at.ceiling, 0.97) << "t " << at.t;
    EXPECT_DOUBLE_EQ(at.read_share, 1);
  }
  for (int t = 0; t < kTimesteps / 2; ++t) {
    const Noised at = noised_samples(conservative, base, 500, t, 77);
    const torch::Tensor truth = conservative.posterior_mean(at.x_t, at.t) - base.posterior_mean(at.x_t, at.t);
    const torch::Tensor learned = rho->gradient(at.x_t, at.t) * rho->unit(t);
    const double error = ((learned - truth).square().sum() / truth.square().sum()).sqrt().item<double>();
    EXPECT_LE(error, 0.2) << "t " << t << ": relative error of the conservative part";
  }
}

TEST_F(ExtractOracle, SubsetOfChannelsReportsItsShareOfTheField) {
  // Column 1 differs as column 0 does, so one of them holds half of the field's energy.
  const MixtureModel base({{1, {0, 0}, {0.3, 0, 0, 0.3}}}, 1, kSchedule);
  const MixtureModel expert({{1, {0.5, 0.5}, {0.3, 0, 0, 0.3}}}, 1, kSchedule);
  ExtractConfig config = settings("x_t");
  config.channels = {1};
  config.steps = 600;
  const auto rho = extract(expert, base, expert.data(2000, 1), base.data(2000, 2), config);
  for (const FieldReport& at : rho->field_report()) {
    EXPECT_NEAR(at.read_share, 0.5, 1e-3) << at.t;
    EXPECT_LE(at.conservativeness, at.read_share + 1e-6) << at.t;
    EXPECT_GE(at.conservativeness, 0.45) << at.t;
    EXPECT_GE(at.ceiling, 0.45) << at.t;
  }
  const Noised at = noised_samples(expert, base, 16, 5, 3);
  EXPECT_EQ(rho->gradient(at.x_t, at.t).select(2, 0).abs().max().item<double>(), 0)
      << "a column that is not read";
}

TEST_F(ExtractOracle, SteeringTheBaseByTheDifferenceGivesTheExpert) {
  const MixtureModel base({{1, {-0.2, 0.1}, {0.10, 0, 0, 0.10}}}, 1, kSchedule);
  const MixtureModel expert({{1, {0.3, -0.2}, {0.05, 0, 0, 0.05}}}, 1, kSchedule);
  const auto rho = extract(expert, base, expert.data(2000, 1), base.data(2000, 2), settings("x_t"));
  SampleConfig sampling;
  sampling.scale = 1;
  const std::vector<float> plain = base.sample(2000, {}, sampling);
  const std::vector<float> steered =
      base.sample(2000, {}, sampling, difference_guide(log_ratio_guide(rho), base.schedule()).get());
  const auto column_mean = [](const std::vector<float>& samples, std::size_t c) {
    double sum = 0;
    for (std::size_t i = c; i < samples.size(); i += 2) sum += samples[i];
    return sum / (static_cast<double>(samples.size()) / 2);
  };
  EXPECT_NEAR(column_mean(plain, 0), -0.2, 0.03);
  EXPECT_NEAR(column_mean(steered, 0), 0.3, 0.08);
  EXPECT_NEAR(column_mean(steered, 1), -0.2, 0.08);
}

/// Rows [a, s] with s ~ N(0, 1) given and a ~ N(gain s, 1): of gains k and 0 the difference of the models is
/// c0_t k s (1 - abar_t) in a, and nothing in s.
class GivenState final : public WindowModel {
 public:
  explicit GivenState(double gain) : gain_(gain) {}
  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return kSchedule; }
  const std::string& device() const override { return device_; }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    const torch::Tensor abar =
        torch::tensor(kSchedule.alpha_bar, torch::kDouble).to(torch::kFloat).index_select(0, t).unsqueeze(1);
    const torch::Tensor a = x_t.select(2, 0), mean = gain_ * x_t.select(2, 1);
    return torch::stack({mean + abar.sqrt() * (a - abar.sqrt() * mean), x_t.select(2, 1)}, 2);
  }
  std::vector<float> windows(int n, std::uint64_t seed) const {
    Rng rng(seed);
    std::vector<float> out;
    for (int i = 0; i < n; ++i) {
      const double s = rng.normal();
      out.insert(out.end(), {static_cast<float>(gain_ * s + rng.normal()), static_cast<float>(s)});
    }
    return out;
  }

 private:
  double gain_;
  WindowLayout layout_{1, 1, 1, 1};
  Normalizer normalizer_ = testing::identity_normalizer(2);
  std::string device_ = "cpu";
};

class GivenStateOracle : public ExtractOracle {
 protected:
  static constexpr double kGain = 0.7;
  std::shared_ptr<RelativeReward> extracted(const ExtractConfig& config) {
    const auto source =
        windows_of(expert.windows(4000, 1), base.windows(4000, 2), base.layout(), base.normalizer(), 0.1);
    return extract(expert, base, *source, config);
  }
  GivenState base{0}, expert{kGain};
};

TEST_F(GivenStateOracle, AGivenObservationIsReadAndIsNoTarget) {
  ExtractConfig config = settings("x_t");
  config.condition_probability = 1;
  const auto rho = extracted(config);
  for (const int t : {2, 20, 50}) {
    const auto level = static_cast<std::size_t>(t);
    const torch::Tensor when = torch::full({5}, t, torch::kLong),
                        s = torch::tensor({-1.5F, -0.5F, 0.F, 0.5F, 1.5F}),
                        a = torch::tensor({0.3F, -0.6F, 0.9F, 0.F, 0.5F});
    const torch::Tensor x = torch::stack({a, s}, 1).unsqueeze(1);
    const torch::Tensor truth = kSchedule.posterior_x0[level] * kGain * (1 - kSchedule.alpha_bar[level]) * s;
    const torch::Tensor learned = rho->gradient(x, when).select(2, 0).select(1, 0) * rho->unit(t);
    EXPECT_LT((learned - truth).abs().max().item<double>(), 0.15 * truth.abs().max().item<double>()) << t;
  }
  for (const FieldReport& at : rho->field_report()) EXPECT_GT(at.conservativeness, 0.95) << at.t;
}

/// Weights move nothing where the field is a gradient, and with none at all on what differs nothing is learned.
TEST_F(GivenStateOracle, ActionsMayWeighMoreAndLessInTheLoss) {
  ExtractConfig config = settings("x_t");
  config.condition_probability = 1;
  config.action_weight = 10;
  for (const FieldReport& at : extracted(config)->field_report())
    EXPECT_GT(at.conservativeness, 0.95) << at.t;
  config.action_weight = 0;
  for (const FieldReport& at : extracted(config)->field_report()) EXPECT_LT(at.conservativeness, 0.2) << at.t;
}

/// The expert's recording is far from the base's; its model's samples are where the base is.
TEST_F(GivenStateOracle, SamplesOfTheExpertsModelReachWhereItsDataIsNot) {
  std::vector<float> far = expert.windows(2000, 1);
  for (std::size_t i = 0; i < far.size(); i += 2) far[i] += static_cast<float>(50 * kGain), far[i + 1] += 50;
  const auto recorded = windows_of(far, base.windows(2000, 2), base.layout(), base.normalizer(), 0.1);
  const auto source = model_windows(expert, *recorded, 3000, 5);
  Rng rng(Seed(3));
  std::vector<double> s, a;
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> row(2);
    source->draw(Side::kExpert, i % 2 == 0 ? Part::kTrain : Part::kHeldOut, rng, row);
    a.push_back(double{row[0]}), s.push_back(double{row[1]});
  }
  EXPECT_NEAR(mean(s), 0, 0.1);
  EXPECT_NEAR(pearson(s, a), kGain / std::sqrt(1 + kGain * kGain), 0.06) << "a ~ N(gain s, 1)";
  ExtractConfig config = settings("x_t");
  config.condition_probability = 1;
  config.expert_from = "model";
  config.steps = 600;
  for (const FieldReport& at : extract(expert, base, *recorded, config)->field_report())
    EXPECT_GT(at.conservativeness, 0.9) << at.t;
  config.condition_probability = 0;
  EXPECT_THROW(extract(expert, base, *recorded, config), InvalidArgument);
}

TEST_F(GivenStateOracle, NullsExplainNothing) {
  ExtractConfig config = settings("x_t");
  config.condition_probability = 1;
  config.null = "shuffled";
  for (const FieldReport& at : extracted(config)->field_report()) EXPECT_LT(at.conservativeness, 0.1) << at.t;
  config.null = "untrained";
  const auto untrained = extracted(config);
  EXPECT_LT(untrained->field_report()[0].conservativeness, 0.9) << "by chance it may point the right way";
  const torch::Tensor x = torch::tensor(base.windows(500, 9)).view({500, 1, 2});
  double square = 0;
  for (const int t : {0, 30, 60, 90})
    square += untrained->gradient(x, torch::full({500}, t, torch::kLong))
                  .select(2, 0)
                  .square()
                  .mean()
                  .item<double>();
  EXPECT_NEAR(std::sqrt(square / 4), 1, 0.3) << "as long as a trained one's";
}

}  // namespace
}  // namespace diffreward
