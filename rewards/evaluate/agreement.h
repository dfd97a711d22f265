// Does a reward rise where the task's own reward does? Correlations over recorded windows, for any environment: the gate
// before an agent is trained on a reward, where the data is what such an agent meets while it learns (a replay).
#pragma once

#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

/// Correlations of a window's score with the mean of the task's own reward, as recorded, over the window's steps.
/// Intervals resample whole episodes.
struct Agreement {
  Estimate pearson, spearman;
  std::size_t windows = 0;
  Json json() const;
};

/// `scored` are windows of `data`. A correlation is 0 where either side is constant.
Agreement agreement(const ScoredWindows& scored, const Dataset& data, const BootstrapConfig& config);

}  // namespace diffreward
