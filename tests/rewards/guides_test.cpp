// Guides made of others, against closed forms and autograd.
#include "rewards/guides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <memory>

#include "core/error.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

using ::diffreward::testing::MixtureModel;
using ::diffreward::testing::Noised;
using ::diffreward::testing::noised_samples;
using ::testing::HasSubstr;

const NoiseSchedule kSchedule("cosine", 20);
const MixtureModel& base() {
  static const MixtureModel model({{1, {-0.2, 0.1}, {0.10, 0, 0, 0.10}}}, 3, kSchedule);
  return model;
}
const MixtureModel& expert() {
  static const MixtureModel model({{1, {0.3, -0.2}, {0.05, 0, 0, 0.05}}}, 3, kSchedule);
  return model;
}

/// log p_t^expert - log p_t^base in closed form.
class ExactRatio final : public Guide {
 public:
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    return (expert().log_density(x, t) - base().log_density(x, t)).to(torch::kFloat);
  }
};

/// a x_0 + b x_0^2 + c of the first number: a value whose gradient is easy.
class Quadratic final : public Guide {
 public:
  Quadratic(double a, double b, double c) : a_(a), b_(b), c_(c) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor&) const override {
    const torch::Tensor first = x.select(2, 0).select(1, 0);
    return a_ * first + b_ * first.square() + c_;
  }

 private:
  double a_, b_, c_;
};

/// d value / d x of a guide through LibTorch's graph.
torch::Tensor by_autograd(const Guide& guide, const Noised& at) {
  return guide.Guide::gradient(at.x_t, at.t);
}

double largest(const torch::Tensor& values) {
  return values.abs().max().item<double>();
}

TEST(Guides, ALogRatioInNatsGivesTheExpertsStep) {
  const auto difference = difference_guide(std::make_shared<ExactRatio>(), kSchedule);
  const auto field = field_guide(expert(), base());
  for (const int t : {0, 5, 12, 19}) {
    const Noised at = noised_samples(expert(), base(), 32, t, 7);
    const torch::Tensor truth = expert().posterior_mean(at.x_t, at.t) - base().posterior_mean(at.x_t, at.t);
    EXPECT_GT(largest(truth), 1e-3);
    EXPECT_LT(largest(difference->gradient(at.x_t, at.t) - truth), 1e-4 * (1 + largest(truth))) << t;
    EXPECT_LT(largest(field->gradient(at.x_t, at.t) - truth), 1e-6) << t;
  }
}

/// What a reward stands for: with the whole field in the base's score every sampler gives the expert's samples.
TEST(Guides, TheFieldInTheScoreMakesTheBaseTheExpert) {
  const auto field = field_guide(expert(), base());
  for (const std::string sampler : {"ddpm", "ddim", "dpm_solver"})
    for (const int steps : {0, 7}) {
      const std::vector<float> led = base().sample(
          50, {}, {.sampler = sampler, .steps = steps, .scale = 1, .guide_at = "score", .seed = 3},
          field.get());
      const std::vector<float> wanted =
          expert().sample(50, {}, {.sampler = sampler, .steps = steps, .seed = 3});
      const std::vector<float> alone = base().sample(50, {}, {.sampler = sampler, .steps = steps, .seed = 3});
      double error = 0, apart = 0;
      for (std::size_t i = 0; i < led.size(); ++i) {
        error = std::max(error, std::abs(double{led[i]} - wanted[i]));
        apart = std::max(apart, std::abs(double{alone[i]} - wanted[i]));
      }
      EXPECT_LT(error, 1e-4) << sampler << ", " << steps << " steps";
      EXPECT_GT(apart, 0.1);
    }
}

TEST(Guides, AFieldHasNoValue) {
  const Noised at = noised_samples(expert(), base(), 4, 3, 7);
  EXPECT_THAT(message_of<Error>([&] { field_guide(expert(), base())->value(at.x_t, at.t); }),
              HasSubstr("expected a guide with values"));
}

TEST(Guides, TheGradientsOfProbabilitiesAndEnsemblesAreThoseOfTheirValues) {
  const auto ratio = std::make_shared<ExactRatio>();
  const auto bent = std::make_shared<Quadratic>(0.3, -0.7, 0.1);
  const Noised at = noised_samples(expert(), base(), 32, 4, 11);
  for (const auto& guide : {probability_guide(ratio), ensemble_guide({ratio, bent}, 0),
                            ensemble_guide({ratio, bent, std::make_shared<Quadratic>(-1, 0.2, 0)}, 1.5)}) {
    const torch::Tensor truth = by_autograd(*guide, at);
    EXPECT_GT(largest(truth), 1e-3);
    EXPECT_LT(largest(guide->gradient(at.x_t, at.t) - truth), 1e-4 * (1 + largest(truth)));
  }
}

TEST(Guides, AnEnsembleThatAgreesIsItsMemberAndOneThatDoesNotIsPaidLess) {
  const Noised at = noised_samples(expert(), base(), 16, 4, 3);
  const auto one = std::make_shared<Quadratic>(1, 0, 0), other = std::make_shared<Quadratic>(1, 0, 2);
  EXPECT_LT(largest(ensemble_guide({one, one}, 3)->value(at.x_t, at.t) - one->value(at.x_t, at.t)), 1e-6);
  const torch::Tensor gradient = ensemble_guide({one, one}, 3)->gradient(at.x_t, at.t);
  EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << "no deviation to divide by";
  // Values v and v + 2: mean v + 1, deviation 1.
  EXPECT_LT(largest(ensemble_guide({one, other}, 0.5)->value(at.x_t, at.t) - one->value(at.x_t, at.t) - 0.5),
            1e-5);
  EXPECT_THROW(ensemble_guide({}, 0), InvalidArgument);
}

/// A probability's gradient vanishes where a classifier is sure, a logit's does not: what the paper's comparison lacked.
TEST(Guides, AProbabilityLosesItsGradientWhereItIsSure) {
  const Noised at = noised_samples(expert(), base(), 8, 2, 5);
  const auto sure = std::make_shared<Quadratic>(1, 0, 40);
  EXPECT_LT(largest(probability_guide(sure)->gradient(at.x_t, at.t)), 1e-12);
  EXPECT_NEAR(largest(sure->gradient(at.x_t, at.t)), 1, 1e-6);
}

}  // namespace
}  // namespace diffreward
