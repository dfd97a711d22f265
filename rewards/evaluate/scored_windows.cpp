#include "rewards/evaluate/scored_windows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "core/rng.h"

namespace diffreward {
namespace {

constexpr std::size_t kBatch = 4096;  // windows scored at once
constexpr int kBins = 40;

/// Marks `count` of `n` episodes, drawn without replacement (all when there are fewer).
std::vector<bool> draw_episodes(std::size_t n, std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng(Streams(Purpose::kChoices, seed, 2)[0]);
  std::vector<bool> drawn(n, false);
  for (std::size_t i = 0; i < std::min(count, n); ++i) {
    std::swap(order[i], order[i + rng.below(n - i)]);
    drawn[order[i]] = true;
  }
  return drawn;
}

Sample stretch_means(const ScoredWindows& scored, int steps) {
  struct Sum {
    double total = 0, count = 0;
  };
  std::map<std::pair<std::size_t, std::size_t>, Sum> stretches;  // (episode, stretch)
  for (std::size_t i = 0; i < scored.size(); ++i) {
    const std::size_t stretch = steps > 0 ? scored.step[i] / std::size_t(steps) : 0;
    Sum& sum = stretches[{scored.episode[i], stretch}];
    sum.total += scored.reward[i];
    sum.count += 1;
  }
  Sample out;
  for (const auto& [key, sum] : stretches) {
    const auto first = stretches.find({key.first, 0});
    const double full = first == stretches.end() ? sum.count : first->second.count;
    if (key.second > 0 && 2 * sum.count < full) continue;
    out.values.push_back(sum.total / sum.count);
    out.clusters.push_back(key.first);
  }
  return out;
}

}  // namespace

std::span<const float> ScoredWindows::row(std::size_t window, int row) const {
  const std::size_t width = std::size_t(layout.width());
  return {windows.data() + window * std::size_t(layout.size()) + std::size_t(row) * width, width};
}

Point ScoredWindows::position(std::size_t window, int row) const {
  const auto values = this->row(window, row).subspan(std::size_t(layout.action_dim));
  return {values[0], values[1]};
}

Point ScoredWindows::velocity(std::size_t window, int row) const {
  const auto values = this->row(window, row).subspan(std::size_t(layout.action_dim));
  return {values[2], values[3]};
}

std::pair<std::size_t, std::size_t> ScoredWindows::recorded(std::size_t window, const Dataset& data) const {
  const std::size_t first = data.episodes()[episode[window]].begin + step[window];
  return {first, first + static_cast<std::size_t>((layout.horizon - 1) * layout.stride)};
}

std::vector<double> score_all(const RewardModel& reward, std::span<const float> windows) {
  const std::size_t size = std::size_t(reward.layout().size()), n = windows.size() / size;
  std::vector<float> scores(n);
  for (std::size_t begin = 0; begin < n; begin += kBatch) {
    const std::size_t count = std::min(kBatch, n - begin);
    reward.score(windows.subspan(begin * size, count * size), std::span(scores).subspan(begin, count));
  }
  for (std::size_t i = 0; i < n; ++i)
    if (!std::isfinite(scores[i]))
      throw Error(concat("reward: expected finite scores, got ", scores[i], " for window ", i));
  return {scores.begin(), scores.end()};
}

ScoredWindows score_windows(const RewardModel& reward, const Dataset& data, const WindowPick& pick) {
  require(pick.every >= 1 && pick.episodes >= 1,
          "score_windows: expected every and episodes of at least 1, got ", pick.every, " and ",
          pick.episodes);
  const WindowSampler sampler(data, reward.layout(), false);
  const std::vector<bool> drawn =
      draw_episodes(data.episodes().size(), std::size_t(pick.episodes), pick.seed);
  ScoredWindows out{reward.layout(), {}, {}, {}, {}};
  std::vector<float> window(std::size_t(out.layout.size()));
  for (std::size_t i = 0; i < sampler.count(); ++i) {
    const std::size_t episode = sampler.episode(i);
    if (!drawn[episode]) continue;
    const std::size_t step = sampler.row(i) - data.episodes()[episode].begin;
    if (step % std::size_t(pick.every) != 0) continue;
    sampler.copy(i, window);
    out.windows.insert(out.windows.end(), window.begin(), window.end());
    out.episode.push_back(episode);
    out.step.push_back(step);
  }
  if (out.episode.empty())
    throw Error("score_windows: expected an episode that holds a whole window, found none");
  out.reward = score_all(reward, out.windows);
  return out;
}

Separation separation(const ScoredWindows& expert, const ScoredWindows& base, int steps,
                      const BootstrapConfig& config) {
  require(steps >= 0, "separation: expected a stretch of at least 0 steps, got ", steps);
  Separation out;
  out.expert = stretch_means(expert, steps);
  out.base = stretch_means(base, steps);
  out.auroc = bootstrap_auroc(out.expert, out.base, config);
  std::tie(out.expert_histogram, out.base_histogram) = histograms(out.expert.values, out.base.values, kBins);
  return out;
}

Json Separation::json() const {
  return {{"auroc", auroc.json()},
          {"stretches", {{"expert", expert.values.size()}, {"base", base.values.size()}}},
          {"histogram",
           {{"low", expert_histogram.low},
            {"high", expert_histogram.high},
            {"expert", expert_histogram.share},
            {"base", base_histogram.share}}}};
}

}  // namespace diffreward
