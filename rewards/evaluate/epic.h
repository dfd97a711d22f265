// EPIC distance between rewards (Gleave et al. 2021, "Quantifying Differences in Reward Functions").
//
//   C(R)(s, a, s') = R(s, a, s') + E[ g R(s', A, S') - R(s, A, S') - g R(S, A, S') ],   S, S' ~ D_S, A ~ D_A
//   EPIC(R1, R2)   = sqrt((1 - rho) / 2),  rho = Pearson correlation of C(R1), C(R2) over transitions (s, a,
//   s') ~ D
//
// D is the base data: transitions as recorded; D_S its states reached and D_A its actions. Canonical shaping
// C removes potential shaping g Phi(s') - Phi(s) exactly, whatever sample stands for the expectation, because
// that sample is the same for every s. 0: equal up to shaping and positive scale; 1: opposite; unrelated
// rewards lie at 0.71.
#pragma once

#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

/// Rewards of n transitions.  s, next: [n, observation_dim], a: [n, action_dim], out: [n]
using TransitionReward = std::function<void(std::span<const float> s, std::span<const float> a,
                                            std::span<const float> next, std::span<double> out)>;

/// What `reward`, which must live as long, pays for each transition alone (score_transitions).
TransitionReward transition_reward(const RewardModel& reward);

struct EpicConfig {
  double discount = 0.99;
  int transitions = 512;  // drawn from the data
  int expectation = 256;  // pairs (A, S') that stand for the expectation
  std::uint64_t seed = 0;
};
double epic_distance(const TransitionReward& first, const TransitionReward& second, const Dataset& coverage,
                     const EpicConfig& config);

}  // namespace diffreward
