#include "rewards/guides.h"

#include <torch/torch.h>

#include <cmath>
#include <utility>

#include "agents/diffusion/noise_levels_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

class ScaledGuide final : public Guide {
 public:
  ScaledGuide(std::shared_ptr<const Guide> guide, const std::vector<double>& factors)
      : guide_(std::move(guide)), factors_(torch::tensor(factors, torch::kFloat)) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    return guide_->value(x, t) * at(t, 1);
  }
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override {
    return guide_->gradient(x, t) * at(t, x.dim());
  }

 private:
  torch::Tensor at(const torch::Tensor& t, std::int64_t dims) const {
    return at_timesteps(factors_.to(t.device()), t, dims);
  }

  std::shared_ptr<const Guide> guide_;
  torch::Tensor factors_;  // [timesteps]
};

class ProbabilityGuide final : public Guide {
 public:
  explicit ProbabilityGuide(std::shared_ptr<const Guide> logit) : logit_(std::move(logit)) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    return logit_->value(x, t).sigmoid();
  }
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override {
    const torch::NoGradGuard no_grad;
    const torch::Tensor p = value(x, t);
    std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
    shape[0] = x.size(0);
    return logit_->gradient(x, t) * (p * (1 - p)).view(shape);
  }

 private:
  std::shared_ptr<const Guide> logit_;
};

class EnsembleGuide final : public Guide {
 public:
  EnsembleGuide(std::vector<std::shared_ptr<const Guide>> guides, double pessimism)
      : guides_(std::move(guides)), pessimism_(pessimism) {
    require(!guides_.empty(), "ensemble_guide: expected at least one guide, got none");
  }
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    const torch::Tensor values = values_of(x, t);
    return values.mean(0) - pessimism_ * values.var(0, /*unbiased=*/false).sqrt();
  }
  /// d deviation = mean of (v_k - v) (g_k - g) / deviation
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> each;
    for (const auto& guide : guides_) each.push_back(guide->gradient(x, t));
    const torch::Tensor gradients = torch::stack(each), mean = gradients.mean(0);
    if (pessimism_ == 0 || each.size() == 1) return mean;
    const torch::Tensor values = values_of(x, t);
    const torch::Tensor apart = values - values.mean(0);  // [guides, n]
    const torch::Tensor deviation = apart.square().mean(0).sqrt();
    const torch::Tensor share =
        torch::where(deviation > 0, apart / deviation, torch::zeros_like(apart));  // [guides, n]
    std::vector<std::int64_t> shape(static_cast<std::size_t>(gradients.dim()), 1);
    shape[0] = share.size(0), shape[1] = share.size(1);
    return mean - pessimism_ * (share.view(shape) * gradients).mean(0);
  }

 private:
  torch::Tensor values_of(const torch::Tensor& x, const torch::Tensor& t) const {
    std::vector<torch::Tensor> each;
    for (const auto& guide : guides_) each.push_back(guide->value(x, t));
    return torch::stack(each);  // [guides, n]
  }

  std::vector<std::shared_ptr<const Guide>> guides_;
  double pessimism_;
};

class FieldGuide final : public Guide {
 public:
  FieldGuide(const DenoisingModel& expert, const DenoisingModel& base) : expert_(expert), base_(base) {
    require(expert.schedule() == base.schedule(),
            "field_guide: expected the expert model to have the base model's schedule, found another");
  }
  at::Tensor value(const at::Tensor& /*x*/, const at::Tensor& /*t*/) const override {
    throw Error(
        "expected a guide with values, found the difference of two models, which has a direction alone");
  }
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override {
    const torch::NoGradGuard no_grad;
    return expert_.posterior_mean(x, t) - base_.posterior_mean(x, t);
  }

 private:
  const DenoisingModel &expert_, &base_;
};

}  // namespace

std::shared_ptr<const Guide> scaled_guide(std::shared_ptr<const Guide> guide,
                                          const std::vector<double>& factors) {
  return std::make_shared<ScaledGuide>(std::move(guide), factors);
}

std::shared_ptr<const Guide> difference_guide(std::shared_ptr<const Guide> log_ratio,
                                              const NoiseSchedule& schedule) {
  std::vector<double> factors;
  for (const double beta : schedule.beta) factors.push_back(beta / std::sqrt(1 - beta));
  return scaled_guide(std::move(log_ratio), factors);
}

std::shared_ptr<const Guide> probability_guide(std::shared_ptr<const Guide> logit) {
  return std::make_shared<ProbabilityGuide>(std::move(logit));
}

std::shared_ptr<const Guide> ensemble_guide(std::vector<std::shared_ptr<const Guide>> guides,
                                            double pessimism) {
  return std::make_shared<EnsembleGuide>(std::move(guides), pessimism);
}

std::shared_ptr<const Guide> field_guide(const DenoisingModel& expert, const DenoisingModel& base) {
  return std::make_shared<FieldGuide>(expert, base);
}

}  // namespace diffreward
