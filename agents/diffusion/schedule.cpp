#include "agents/diffusion/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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
  double before = 1;  // abar_{t-1}
  for (int t = 0; t < timesteps; ++t) {
    const double b = std::min(beta_at(kind, t, timesteps), kLargestBeta);
    const double now = before * (1 - b);
    beta.push_back(b);
    alpha_bar.push_back(now);
    posterior_x0.push_back(b * std::sqrt(before) / (1 - now));
    posterior_xt.push_back(std::sqrt(1 - b) * (1 - before) / (1 - now));
    posterior_variance.push_back(b * (1 - before) / (1 - now));
    before = now;
  }
}

}  // namespace diffreward
