// Samplers against closed forms. Where x_0 ~ N(m, S), the ideal denoiser is linear,
//   E[x_0 | x_t] = m + a S (a^2 S + b^2 I)^-1 (x_t - a m),   a = sqrt(abar_t), b^2 = 1 - abar_t,
// so what a sampler must produce is known: m, S, and their shift under a guide.
#include "agents/diffusion/window_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/guide.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kHorizon = 3, kWidth = 2, kSize = kHorizon * kWidth;

class GaussianModel final : public WindowModel {
 public:
  GaussianModel(const torch::Tensor& mean, const torch::Tensor& covariance, int timesteps = 100,
                const std::string& normalizer = "gaussian")
      : mean_(mean),
        covariance_(covariance),
        normalizer_(normalizer, {0.5, -2}, {2, 4}),
        schedule_("cosine", timesteps) {
    std::vector<torch::Tensor> gains, precisions;
    for (const double abar : schedule_.alpha_bar) {
      const torch::Tensor precision =
          torch::inverse(abar * covariance + (1 - abar) * torch::eye(kSize, torch::kDouble));
      precisions.push_back(precision);
      gains.push_back(std::sqrt(abar) * covariance.matmul(precision));
    }
    gain_ = torch::stack(gains);
    precision_ = torch::stack(precisions);
  }
  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }

  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    return (mean_ + apply(gain_, x_t, t)).to(x_t).view_as(x_t);
  }
  torch::Tensor exact_score(const torch::Tensor& x_t, const torch::Tensor& t) const {
    return -apply(precision_, x_t, t).view_as(x_t);
  }
  /// d E[x_0 | x_t] / d x_t, [size, size].
  torch::Tensor gain(int t) const { return gain_[t]; }
  double signal(int t) const { return std::sqrt(schedule_.alpha_bar[static_cast<std::size_t>(t)]); }

 private:
  /// matrices[t] (x_t - a m), [n, size].
  torch::Tensor apply(const torch::Tensor& matrices, const torch::Tensor& x_t, const torch::Tensor& t) const {
    const torch::Tensor a =
        torch::tensor(schedule_.alpha_bar, torch::kDouble).sqrt().index_select(0, t).unsqueeze(1);
    const torch::Tensor centred = x_t.flatten(1).to(torch::kDouble) - a * mean_;
    if (torch::equal(t, t[0].expand_as(t))) return centred.matmul(matrices[t[0].item<std::int64_t>()].t());
    return torch::bmm(matrices.index_select(0, t), centred.unsqueeze(2)).squeeze(2);
  }
  torch::Tensor mean_, covariance_, gain_, precision_;
  WindowLayout layout_{kHorizon, 1, 1, kWidth - 1};
  Normalizer normalizer_;
  NoiseSchedule schedule_;
  std::string device_ = "cpu";
};

torch::Tensor some_mean() {
  return torch::tensor({0.5, -0.3, 0.1, 0.9, -0.7, 0.2}, torch::kDouble);
}
torch::Tensor diagonal() {
  return torch::diag(torch::tensor({1.0, 0.25, 0.04, 0.5, 2.0, 0.09}, torch::kDouble));
}
torch::Tensor correlated() {  // a random walk's: neighbours are alike
  const torch::Tensor index = torch::arange(1.0, kSize + 1.0, torch::kDouble);
  return 0.25 * torch::minimum(index.unsqueeze(0), index.unsqueeze(1));
}

struct Moments {
  torch::Tensor mean, covariance;
};
/// Of samples in model units.
Moments moments(const GaussianModel& model, const SampleConfig& config, int n, const Guide* guide = nullptr) {
  std::vector<float> samples = model.sample(n, {}, config, guide);
  model.normalizer().normalize(samples, samples);
  const torch::Tensor x = torch::tensor(samples).view({n, kSize}).to(torch::kDouble);
  return {x.mean(0), torch::cov(x.t())};
}
double largest(const torch::Tensor& x) {
  return x.abs().max().item<double>();
}

struct SamplerCase {
  const char* sampler;
  int steps;
  double tolerance;  // of mean and covariance, relative to the largest deviation and variance
};
class Samplers : public ::testing::TestWithParam<SamplerCase> {};

TEST_P(Samplers, ReproduceMeanAndCovariance) {
  constexpr int kSamples =
      40000;  // statistical error of a covariance: 4 sqrt(2 / n) = 2.8 % at four deviations
  const auto [sampler, steps, tolerance] = GetParam();
  for (const torch::Tensor& covariance : {diagonal(), correlated()}) {
    const GaussianModel model(some_mean(), covariance, 200);
    const Moments found = moments(model, {.sampler = sampler, .steps = steps, .seed = 1}, kSamples);
    const double variance = largest(covariance);
    EXPECT_LT(largest(found.mean - some_mean()), tolerance * std::sqrt(variance)) << found.mean;
    EXPECT_LT(largest(found.covariance - covariance), tolerance * variance) << found.covariance;
  }
}
INSTANTIATE_TEST_SUITE_P(All, Samplers,
                         ::testing::Values(SamplerCase{"ddpm", 0, 0.05}, SamplerCase{"ddim", 0, 0.05},
                                           // 50 of 200 levels: DDIM's own error is 5.1 % of a variance
                                           SamplerCase{"ddim", 50, 0.08}, SamplerCase{"dpm_solver", 0, 0.04},
                                           SamplerCase{"dpm_solver", 20, 0.05}),
                         [](const auto& param) {
                           return std::string(param.param.sampler) + "_" + std::to_string(param.param.steps);
                         });

// From x_0 ~ N(m, S), noised to level t and denoised, comes x_0' ~ N(m, S) again, and with the gain G of the
// denoiser
//   cov(x_0', x_0) = G cov(x_t, x_0) = a G S.
TEST(SampleFrom, KeepsTheDistributionAndAsMuchOfItsStartAsTheLevelLeaves) {
  constexpr int kSamples = 40000, kLevel = 80;
  const torch::Tensor covariance = correlated();
  const GaussianModel model(some_mean(), covariance, 200);
  std::vector<float> start = model.sample(kSamples, {}, {.sampler = "ddpm", .seed = 1});
  std::vector<float> found = model.sample_from(start, kLevel, {}, {.sampler = "ddpm", .seed = 2});
  const auto centred = [&](std::vector<float>& samples) {
    model.normalizer().normalize(samples, samples);
    return torch::tensor(samples).view({kSamples, kSize}).to(torch::kDouble) - some_mean();
  };
  const torch::Tensor before = centred(start), after = centred(found);
  const double variance = largest(covariance);
  EXPECT_LT(largest(after.mean(0)), 0.05 * std::sqrt(variance));
  EXPECT_LT(largest(torch::cov(after.t()) - covariance), 0.05 * variance);
  const torch::Tensor expected = model.signal(kLevel) * model.gain(kLevel).matmul(covariance);
  EXPECT_LT(largest(after.t().matmul(before) / kSamples - expected), 0.05 * variance);
  EXPECT_GT(largest(expected), 0.2 * variance);
}

// With few steps the second-order solver must be closer to the truth than the first-order one.
TEST(Sampler, SecondOrderIsMoreExactThanFirst) {
  const GaussianModel model(some_mean(), diagonal(), 200);
  const auto error = [&](const char* sampler) {
    return largest(moments(model, {.sampler = sampler, .steps = 10, .seed = 3}, 20000).covariance -
                   diagonal());
  };
  EXPECT_LT(error("dpm_solver"), 0.6 * error("ddim"));
}

TEST(WindowModel, ScoreAndPosteriorMeanAreTheClosedForms) {
  const GaussianModel model(some_mean(), correlated());
  torch::Generator rng = at::detail::createCPUGenerator(5);
  const torch::Tensor t = torch::tensor({0, 3, 50, 99}, torch::kLong);
  const torch::Tensor x_0 = torch::randn({4, kHorizon, kWidth}, rng),
                      noise = torch::randn({4, kHorizon, kWidth}, rng);
  const torch::Tensor x = model.add_noise(x_0, t, noise);
  const torch::Tensor score = model.score(x, t), mean = model.posterior_mean(x, t);
  EXPECT_TRUE(torch::allclose(score.to(torch::kDouble), model.exact_score(x, t), 1e-3, 2e-3)) << score;
  const torch::Tensor x0_hat = model.predict_x0(x, t);
  const NoiseSchedule& s = model.schedule();
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto level = static_cast<std::size_t>(t[i].item<std::int64_t>());
    EXPECT_TRUE(torch::allclose(mean[i], s.posterior_x0[level] * x0_hat[i] + s.posterior_xt[level] * x[i],
                                1e-5, 1e-6));
    EXPECT_TRUE(torch::allclose(
        x[i], std::sqrt(s.alpha_bar[level]) * x_0[i] + std::sqrt(1 - s.alpha_bar[level]) * noise[i], 1e-5,
        1e-6));
  }
}

// value(x, t) = <direction, x>
class LinearGuide final : public Guide {
 public:
  explicit LinearGuide(torch::Tensor direction) : direction_(std::move(direction)) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor&) const override {
    return x.flatten(1).matmul(direction_.to(torch::kFloat));
  }

 private:
  torch::Tensor direction_;
};

// A linear guide only moves the mean m_t of x_t, and by a recursion that the schedule gives:
//   m_{t-1} = c0_t E[x_0 | x_t = y] + ct_t y  at y = m_t + scale * var_t * direction.
TEST(Guidance, LinearGuideMovesTheMeanAsTheRecursionSays) {
  const torch::Tensor direction = torch::tensor({1.0, 0.0, -0.5, 0.3, 0.0, 2.0}, torch::kDouble);
  const GaussianModel model(some_mean(), correlated(), 50);
  const NoiseSchedule& schedule = model.schedule();
  for (const double scale : {1.5, -1.5}) {
    for (const bool by_variance : {true, false}) {
      const double strength = by_variance ? scale : 0.05 * scale;
      torch::Tensor mean = torch::zeros({kSize}, torch::kDouble);
      for (int t = 49; t >= 0; --t) {
        const auto i = static_cast<std::size_t>(t);
        const torch::Tensor y =
            t < 5 ? mean : mean + strength * (by_variance ? schedule.posterior_variance[i] : 1) * direction;
        const torch::Tensor x0 = some_mean() + model.gain(t).matmul(y - model.signal(t) * some_mean());
        mean = schedule.posterior_x0[i] * x0 + schedule.posterior_xt[i] * y;
      }
      const LinearGuide guide(direction);
      const SampleConfig config{
          .scale = strength, .scale_by_variance = by_variance, .stop_guide_below = 5, .seed = 2};
      const Moments found = moments(model, config, 40000, &guide);
      EXPECT_LT(largest(found.mean - mean), 0.03) << found.mean << mean;
      EXPECT_GT(scale * (mean - some_mean()).dot(direction).item<double>(),
                0.1);  // uphill for a positive scale
    }
  }
}

// value(x, t) = <direction, E[x_0 | x_t = x]>: the exact log-ratio gradient of the tilted law p(x_0)
// exp(<direction, x_0>), which is N(m + S direction, S). Small steps make guided sampling draw from it.
class TiltGuide final : public Guide {
 public:
  TiltGuide(const GaussianModel& model, torch::Tensor direction)
      : model_(model), direction_(std::move(direction)) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    return model_.predict_x0(x, t).flatten(1).matmul(direction_.to(torch::kFloat));
  }

 private:
  const GaussianModel& model_;
  torch::Tensor direction_;
};

TEST(Guidance, TiltsAGaussianByItsCovariance) {
  const torch::Tensor direction = torch::tensor({0.5, 0.0, -0.5, 0.3, 0.0, 0.4}, torch::kDouble);
  const GaussianModel model(some_mean(), correlated(), 1000);
  const TiltGuide guide(model, direction);
  const SampleConfig config{.scale = 1, .scale_by_variance = true, .seed = 4};
  const Moments found = moments(model, config, 4000, &guide);
  const torch::Tensor shift = correlated().matmul(direction);
  EXPECT_LT(largest(found.mean - some_mean() - shift), 0.12 * largest(shift))
      << found.mean << some_mean() + shift;
  EXPECT_LT(largest(found.covariance - correlated()), 0.12 * largest(correlated()));
}

TEST(Guidance, AtThePredictedWindowIsPulledBackThroughTheDenoiser) {
  const torch::Tensor direction = torch::tensor({0.5, 0.0, -0.5, 0.3, 0.0, 0.4}, torch::kDouble);
  const GaussianModel model(some_mean(), correlated(), 50);
  const TiltGuide there(model, direction);  // the same by hand: the gradient of <direction, x_0(x_t)>
  const LinearGuide here(direction);
  SampleConfig config{.scale = 2, .scale_by_variance = true, .seed = 4};
  const std::vector<float> by_hand = model.sample(16, {}, config, &there);
  config.guide_at = "x0";
  EXPECT_THAT(model.sample(16, {}, config, &here),
              ::testing::Pointwise(::testing::FloatNear(1e-4F), by_hand));
}

TEST(Guidance, StopsBelowAndRepeats) {
  const GaussianModel model(some_mean(), diagonal(), 20);
  const LinearGuide guide(torch::ones({kSize}, torch::kDouble)),
      twice(2 * torch::ones({kSize}, torch::kDouble));
  const SampleConfig plain{.seed = 9};
  SampleConfig config = plain;
  config.scale = 0.25;
  config.stop_guide_below = 20;
  EXPECT_EQ(model.sample(8, {}, config, &guide), model.sample(8, {}, plain));
  config.stop_guide_below = 4;
  EXPECT_NE(model.sample(8, {}, config, &guide), model.sample(8, {}, plain));
  const std::vector<float> once = model.sample(8, {}, config, &twice);
  config.guide_steps = 2;
  EXPECT_THAT(model.sample(8, {}, config, &guide), ::testing::Pointwise(::testing::FloatNear(1e-5F), once));
}

TEST(Conditions, AreHeldExactlyByEverySamplerAndPullTheirNeighbours) {
  const GaussianModel model(some_mean(), correlated(), 100);
  const LinearGuide guide(torch::ones({kSize}, torch::kDouble));
  constexpr int kSamples = 500;
  std::vector<float> last(kSamples);
  for (int i = 0; i < kSamples; ++i)
    last[static_cast<std::size_t>(i)] = 7.1F + 0.013F * static_cast<float>(i);
  for (const char* sampler : {"ddpm", "ddim", "dpm_solver"}) {
    const SampleConfig config{.sampler = sampler, .scale = 0.1, .scale_by_variance = true, .seed = 6};
    const std::vector<float> free = model.sample(kSamples, {}, config, &guide);
    const std::vector<float> held = model.sample(kSamples, {{0, {3.3F}}, {2, last}}, config, &guide);
    double moved = 0;
    for (std::size_t i = 0; i < kSamples; ++i) {
      ASSERT_EQ(held[i * kSize + 1], 3.3F);
      ASSERT_EQ(held[i * kSize + 5], last[i]);
      moved += (held[i * kSize + 3] - free[i * kSize + 3]) / kSamples;
    }
    EXPECT_GT(moved, 1) << sampler;  // both neighbours are held far above their means of -3.2 and -1.2
  }
}

TEST(Conditions, WrongOnesAreNamed) {
  const GaussianModel model(some_mean(), diagonal());
  const auto message = [&](const Condition& condition) {
    try {
      model.sample(4, {condition}, {});
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message({3, {0}}), "condition at time 3: expected a row in [0, 3)");
  EXPECT_EQ(message({1, {0, 0}}),
            "condition at time 1: expected 1 or 4 observations of 1 numbers, got 2 numbers");
  EXPECT_EQ(message({1, {std::nanf("")}}), "condition at time 1: expected finite numbers, got nan");
}

TEST(Sampler, IsDeterministicAndWorksInChunks) {
  const GaussianModel model(some_mean(), diagonal());
  const SampleConfig config{.sampler = "ddpm", .steps = 4, .seed = 11};
  EXPECT_EQ(model.sample(100, {}, config), model.sample(100, {}, config));
  SampleConfig other = config;
  other.seed = 12;
  EXPECT_NE(model.sample(100, {}, config), model.sample(100, {}, other));

  constexpr std::size_t kChunk = (1 << 20) / kSize, kMany = kChunk + 2000;  // chunk size of sampler.cpp
  std::vector<float> conditions(kMany);
  for (std::size_t i = 0; i < kMany; ++i) conditions[i] = static_cast<float>(i % 1000);
  const std::vector<float> many = model.sample(static_cast<int>(kMany), {{1, conditions}}, config);
  ASSERT_EQ(many.size(), kMany * kSize);
  for (std::size_t i = 0; i < kMany; ++i) ASSERT_EQ(many[i * kSize + 3], conditions[i]) << i;
  EXPECT_NE(std::vector(many.begin(), many.begin() + 600),  // the second chunk has noise of its own
            std::vector(many.begin() + kChunk * kSize, many.begin() + kChunk * kSize + 600));
}

TEST(Sampler, ClipsOnlyTheLimitsNormalizer) {
  const torch::Tensor far = 3 * torch::ones({kSize}, torch::kDouble),
                      narrow = 0.01 * torch::eye(kSize, torch::kDouble);
  const auto mean = [&](const char* normalizer, bool clip) {
    return largest(moments(GaussianModel(far, narrow, 20, normalizer), {.clip = clip}, 200).mean);
  };
  EXPECT_LT(mean("limits", true), 1.0001);
  EXPECT_GT(mean("limits", false), 2.9);
  EXPECT_GT(mean("gaussian", true), 2.9);
}

TEST(Sampler, RefusesMoreStepsThanTheModelHas) {
  const GaussianModel model(some_mean(), diagonal());
  EXPECT_THROW(model.sample(1, {}, {.steps = 101}), InvalidArgument);
  EXPECT_THROW(model.sample(1, {}, {.sampler = "euler"}), InvalidArgument);
  EXPECT_THROW(model.sample(-1, {}, {}), InvalidArgument);
  EXPECT_TRUE(model.sample(0, {}, {}).empty());
}

}  // namespace
}  // namespace diffreward
