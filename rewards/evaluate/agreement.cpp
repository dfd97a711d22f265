#include "rewards/evaluate/agreement.h"

#include <cmath>
#include <map>

namespace diffreward {
namespace {

/// The task's own reward of each window.
std::vector<double> own_rewards(const ScoredWindows& scored, const Dataset& data) {
  std::vector<double> out;
  for (std::size_t i = 0; i < scored.size(); ++i) {
    const auto [first, last] = scored.recorded(i, data);
    double sum = 0;
    for (std::size_t row = first; row <= last; ++row) sum += double{data.rewards()[row]};
    out.push_back(sum / static_cast<double>(last - first + 1));
  }
  return out;
}

/// Pearson's correlation of x and y with weights by cluster.
double correlation(std::span<const double> x, std::span<const double> y, std::span<const std::size_t> cluster,
                   std::span<const double> weights) {
  double w = 0, sx = 0, sy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double k = weights[cluster[i]];
    w += k, sx += k * x[i], sy += k * y[i];
  }
  const double mx = sx / w, my = sy / w;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double k = weights[cluster[i]], dx = x[i] - mx, dy = y[i] - my;
    xx += k * dx * dx, yy += k * dy * dy, xy += k * dx * dy;
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace

Agreement agreement(const ScoredWindows& scored, const Dataset& data, const BootstrapConfig& config) {
  const std::vector<double> own = own_rewards(scored, data);
  std::map<std::size_t, std::size_t> numbers;  // of episodes, 0, 1, ...
  std::vector<std::size_t> cluster;
  for (const std::size_t episode : scored.episode)
    cluster.push_back(numbers.emplace(episode, numbers.size()).first->second);
  const std::size_t sizes[] = {numbers.size()};
  const auto estimate = [&](const std::vector<double>& x, const std::vector<double>& y) {
    return bootstrap_counts(
        sizes, [&](const DrawCounts& counts) { return correlation(x, y, cluster, counts[0]); }, config);
  };
  return {estimate(scored.reward, own), estimate(ranks(scored.reward), ranks(own)), scored.size()};
}

Json Agreement::json() const {
  return {{"pearson", pearson.json()}, {"spearman", spearman.json()}, {"windows", windows}};
}

}  // namespace diffreward
