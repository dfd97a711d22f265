// From transitions (s, a, s') to what rewards read: the one place that knows.
#pragma once

#include <span>

#include "rewards/reward_model.h"

namespace diffreward {

/// Of n transitions, task units.
template <class T>
struct Transitions {
  std::span<const T> obs = {}, actions = {}, reached = {};  // [n, obs_dim], [n, act_dim], [n, obs_dim]
};

/// The row of each transition as `reward` reads it, [n, layout().width()]. Of a reward that reads the state reached, obs
/// and actions may be empty. Throws InvalidArgument where sizes are not the reward's.
template <class T>
void transition_rows(const RewardModel& reward, const Transitions<T>& transitions, std::span<float> rows);

/// The reward of each transition alone, [n]: all rows of a longer window are that transition's, as at the start of an
/// episode. Throws Error when a score is not finite.
void score_transitions(const RewardModel& reward, const Transitions<float>& transitions,
                       std::span<float> out);

}  // namespace diffreward
