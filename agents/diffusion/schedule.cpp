#include "agents/diffusion/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kLargestBeta = 0.999;
constexpr double kCosineOffset = 0.008;

double cosine_alpha_bar(double progress) {
  const double c = std::cos((progress + kCosineOffset) / (1 + kCosineOffset) * std::numbers::pi / 2);
  return c * c;
}

double beta_at(const std::string& kind, int t, int timesteps) {
  if (kind == "cosine")
    return 1 - cosine_alpha_bar((t + 1.0) / timesteps) / cosine_alpha_bar(double(t) / timesteps);
  const double scale = 1000.0 / timesteps, low = 1e-4 * scale, high = 0.02 * scale;
  return low + (high - low) * t / (timesteps - 1);
}

}  // namespace

NoiseSchedule::NoiseSchedule(const std::string& schedule_kind, int count)
    : kind(schedule_kind), timesteps(count) {
  require(kind == "cosine" || kind == "linear", "schedule: expected cosine or linear, got '", kind, "'");
  require(timesteps >= 2 && timesteps <= kMostTimesteps, "timesteps: expected 2 to ", kMostTimesteps,
          ", got ", timesteps);
  for (int t = 0; t < timesteps; ++t) beta.push_back(std::min(beta_at(kind, t, timesteps), kLargestBeta));
  follow();
}

NoiseSchedule::NoiseSchedule(std::vector<double> betas)
    : kind("given"), timesteps(static_cast<int>(betas.size())), beta(std::move(betas)) {
  require(beta.size() >= 2 && beta.size() <= kMostTimesteps, "betas: expected 2 to ", kMostTimesteps,
          ", got ", beta.size());
  for (const double b : beta) require(b > 0 && b < 1, "betas: expected numbers between 0 and 1, got ", b);
  follow();
}

void NoiseSchedule::follow() {
  double before = 1;  // abar_{t-1}
  for (const double b : beta) {
    const double now = before * (1 - b);
    alpha_bar.push_back(now);
    posterior_x0.push_back(b * std::sqrt(before) / (1 - now));
    posterior_xt.push_back(std::sqrt(1 - b) * (1 - before) / (1 - now));
    posterior_variance.push_back(b * (1 - before) / (1 - now));
    before = now;
  }
}

Json NoiseSchedule::json() const {
  Json out = {{"kind", kind}, {"timesteps", timesteps}};
  if (kind == "given") out["beta"] = beta;
  return out;
}

NoiseSchedule NoiseSchedule::from_json(const Json& json) {
  const auto kind = member<std::string>(json, "kind");
  if (kind == "given") return NoiseSchedule(member<std::vector<double>>(json, "beta"));
  return {kind, member<int>(json, "timesteps")};
}

}  // namespace diffreward
