// Kinds of behaviour: what expert and base do of each, and whether a reward pays for it. What kinds there are, of mazes and
// of robots: preference.h, robot_preference.h.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

struct BehaviourKind {
  std::string name, unit;
  bool yes_or_no = false;
};

struct BehaviourPreference {
  std::string name, unit;
  Estimate expert, base;  ///< means
  Estimate difference;    ///< expert - base
  double effect_size =
      0;  ///< difference of the episodes' means over their pooled standard deviation (Cohen's d)
  double correlation = 0;       ///< Spearman of the reward with the behaviour over base windows
  double partial = 0;           ///< the same with another behaviour held fixed; 0 for that one itself
  std::optional<double> auroc;  ///< yes-or-no behaviours: P(paid more with it than without), base windows
  Histogram expert_histogram, base_histogram;  ///< over one range, winsorised by 0.5 %
  Json json() const;
};

/// Windows and how much of a behaviour each shows.
struct BehaviourWindows {
  const ScoredWindows& scored;
  std::span<const double> value;  // [windows]  NaN where it is not defined
};

/// `held`: of base windows, what `partial` holds fixed; windows where it is not defined do not count for correlations. Throws
/// Error where a side has no window in which the behaviour is defined. Intervals resample whole episodes.
BehaviourPreference compare_behaviour(const BehaviourKind& kind, const BehaviourWindows& expert,
                                      const BehaviourWindows& base, std::span<const double> held,
                                      const BootstrapConfig& bootstrap);

}  // namespace diffreward
