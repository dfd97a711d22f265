#include "rewards/evaluate/behaviour.h"

#include <cmath>
#include <map>
#include <tuple>

namespace diffreward {
namespace {

constexpr int kBins = 30;

/// The windows where the behaviour is defined, by episode.
Sample defined(const BehaviourWindows& side) {
  Sample out;
  for (std::size_t i = 0; i < side.value.size(); ++i)
    if (std::isfinite(side.value[i])) {
      out.values.push_back(side.value[i]);
      out.clusters.push_back(side.scored.episode[i]);
    }
  return out;
}

double effect_size(const Sample& expert, const Sample& base) {
  const auto episode_means = [](const Sample& sample) {
    std::map<std::size_t, std::pair<double, double>> sums;
    for (std::size_t i = 0; i < sample.values.size(); ++i) {
      sums[sample.clusters[i]].first += sample.values[i];
      sums[sample.clusters[i]].second += 1;
    }
    std::vector<double> means;
    for (const auto& [episode, sum] : sums) means.push_back(sum.first / sum.second);
    return means;
  };
  const std::vector<double> e = episode_means(expert), b = episode_means(base);
  const double se = standard_deviation(e), sb = standard_deviation(b), ne = double(e.size()),
               nb = double(b.size());
  if (ne + nb <= 2) return 0;
  const double pooled = std::sqrt(((ne - 1) * se * se + (nb - 1) * sb * sb) / (ne + nb - 2));
  return pooled > 0 ? (mean(e) - mean(b)) / pooled : 0;
}

/// How the reward goes with the behaviour on base windows.
void relate(const BehaviourKind& kind, const BehaviourWindows& base, std::span<const double> held,
            BehaviourPreference& out) {
  std::vector<double> reward, value, fixed, with, without;
  for (std::size_t i = 0; i < base.value.size(); ++i) {
    if (!std::isfinite(base.value[i]) || !std::isfinite(held[i])) continue;
    reward.push_back(base.scored.reward[i]);
    value.push_back(base.value[i]);
    fixed.push_back(held[i]);
    (value.back() >= 0.5 ? with : without).push_back(reward.back());
  }
  if (reward.size() < 2) return;
  out.correlation = spearman(reward, value);
  out.partial = held.data() == base.value.data() ? 0 : partial_spearman(reward, value, fixed);
  if (kind.yes_or_no && !with.empty() && !without.empty()) out.auroc = auroc(with, without);
}

}  // namespace

BehaviourPreference compare_behaviour(const BehaviourKind& kind, const BehaviourWindows& expert,
                                      const BehaviourWindows& base, std::span<const double> held,
                                      const BootstrapConfig& bootstrap) {
  BehaviourPreference out;
  out.name = kind.name;
  out.unit = kind.unit;
  const Sample e = defined(expert), o = defined(base);
  if (e.values.empty() || o.values.empty())
    throw Error(concat("preference_report: expected windows where ", out.name, " is defined, found ",
                       e.values.size(), " of the expert and ", o.values.size(), " of the base"));
  out.expert = bootstrap_mean(e, bootstrap);
  out.base = bootstrap_mean(o, bootstrap);
  out.difference = bootstrap_difference(e, o, bootstrap);
  out.effect_size = effect_size(e, o);
  relate(kind, base, held, out);
  std::tie(out.expert_histogram, out.base_histogram) = histograms(e.values, o.values, kBins);
  return out;
}

Json BehaviourPreference::json() const {
  return {{"name", name},
          {"unit", unit},
          {"expert", expert.json()},
          {"base", base.json()},
          {"difference", difference.json()},
          {"effect_size", effect_size},
          {"reward_correlation", correlation},
          {"reward_partial_correlation", partial},
          {"reward_auroc", auroc ? Json(*auroc) : Json()},
          {"histogram",
           {{"low", expert_histogram.low},
            {"high", expert_histogram.high},
            {"expert", expert_histogram.share},
            {"base", base_histogram.share}}}};
}

}  // namespace diffreward
