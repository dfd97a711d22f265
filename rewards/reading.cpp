#include "rewards/reading.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace diffreward {
namespace {

constexpr double kLargestExponent = 80;  // exp() of it still is a float

class Reading final : public RewardModel {
 public:
  Reading(std::shared_ptr<const RelativeReward> reward, const ReadingConfig& config)
      : reward_(std::move(reward)), t_(config.t < 0 ? reward_->config().read_t : config.t) {
    require(t_ < reward_->timesteps(), "reading: t: expected a timestep below ", reward_->timesteps(),
            ", got ", t_);
    const std::string& kind = config.reading;
    if (kind == "plain" || kind == "shaped") return;
    if (kind == "negated") slope_ = -1;
    if (kind == "survival") slope_ = 0, shift_ = 1;
    if (kind == "negated" || kind == "survival") return;
    require(t_ == reward_->config().read_t, "reading: t: expected ", reward_->config().read_t,
            ", where the reward's statistics on base data were taken, or -1, got ", t_);
    const RelativeReward::BaseStatistics& base = reward_->base_statistics();
    require(base.deviation > 0, "reading: expected a reward that varies on base data, got deviation ",
            base.deviation);
    if (kind == "absorbing") {
      absorb(base, config.discount);
      return;
    }
    const bool centred = kind == "centred";
    slope_ = (centred ? 1 : config.beta) / base.deviation;
    shift_ = -slope_ * (centred ? base.mean : base.q99);
    is_ratio_ = !centred;
    alpha_ = kind == "support" ? config.alpha : 0;
  }

  const WindowLayout& layout() const override { return reward_->layout(); }
  Reads reads() const override { return reward_->reads(); }
  double terminal() const override { return terminal_; }

  void score(std::span<const float> windows, std::span<float> out) const override {
    reward_->score_at(t_, windows, out);
    if (slope_ == 1 && shift_ == 0 && !is_ratio_) return;
    for (float& rho : out) {
      const double value = slope_ * double{rho} + shift_;
      rho = static_cast<float>(is_ratio_ ? std::exp(std::min(value, kLargestExponent)) : value);
    }
    if (alpha_ <= 0) return;
    std::vector<float> p_value(out.size());
    reward_->support(windows, p_value);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (double{p_value[i]} < alpha_) out[i] = 0;
  }

 private:
  void absorb(const RelativeReward::BaseStatistics& base, double discount) {
    const std::optional<RelativeReward::Fallen>& fallen = reward_->fallen();
    require(
        fallen.has_value(),
        "reading: absorbing: expected a reward from recordings of a task with a known limit, found another");
    slope_ = reward_->nats_per_unit(t_);
    shift_ = std::log((1 - fallen->expert) / (1 - fallen->base)) - base.log_mean_exp;
    terminal_ = std::log(fallen->expert / fallen->base) / (1 - discount);
  }

  std::shared_ptr<const RelativeReward> reward_;
  int t_;
  double slope_ = 1, shift_ = 0;  // slope rho + shift
  bool is_ratio_ = false;         // exp() of that
  double alpha_ = 0;              // windows with a smaller p-value are paid nothing
  double terminal_ = 0;
};

/// The growth of plain rho by a step: of the window that ends with it over the one a step before.
class Growth final : public RewardModel {
 public:
  Growth(std::shared_ptr<const RelativeReward> reward, const ReadingConfig& config)
      : plain_(std::move(reward), config), layout_(plain_.layout()) {
    layout_.horizon = (layout_.horizon - 1) * layout_.stride + 2;  // all steps that the two windows lie on
    layout_.stride = 1;
  }

  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override { return plain_.reads(); }

  void score(std::span<const float> windows, std::span<float> out) const override {
    const WindowLayout& read = plain_.layout();
    const auto width = static_cast<std::size_t>(layout_.width());
    std::vector<float> before_and_after(2 * out.size() * static_cast<std::size_t>(read.size()));
    float* to = before_and_after.data();
    for (std::size_t i = 0; i < out.size(); ++i)
      for (std::size_t last = 0; last < 2; ++last)
        for (int row = 0; row < read.horizon; ++row) {
          const std::size_t step = last + static_cast<std::size_t>(row * read.stride);
          to = std::copy_n(windows.data() + (i * static_cast<std::size_t>(layout_.horizon) + step) * width,
                           width, to);
        }
    std::vector<float> rho(2 * out.size());
    plain_.score(before_and_after, rho);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = rho[2 * i + 1] - rho[2 * i];
  }

 private:
  Reading plain_;
  WindowLayout layout_;
};

}  // namespace

std::shared_ptr<const RewardModel> read_reward(std::shared_ptr<const RelativeReward> reward,
                                               const ReadingConfig& config) {
  require(reward != nullptr, "reading: expected a reward, got a null pointer");
  validate(config);
  if (config.reading == "shaped") return std::make_shared<Growth>(std::move(reward), config);
  return std::make_shared<Reading>(std::move(reward), config);
}

}  // namespace diffreward
