// A reward with the log density of a policy's actions added: what soft actor-critic needs to stay near that policy.
//
//   r(s, a) = reward(s, a) + weight log pi_0(a|s)
//
// An agent that maximises r with its entropy at the price `weight` (SacConfig::temperature, not learned) maximises
//
//   E sum_t gamma^t [ reward - weight KL(pi(.|s_t) || pi_0(.|s_t)) ],
//
// by which a static reward is not exploited where nothing was recorded. With reward = log pi_E - log pi_0, which is what models
// that are given the state tell (condition_probability 1), and weight 1, each step is worth -KL(pi || pi_E): the optimum is the
// expert (Watson et al., "Coherent soft imitation learning", 2023). Densities are in half-boxes of the actions, as SAC's entropy.
#pragma once

#include <memory>

#include "agents/bc/bc.h"
#include "rewards/reward_model.h"

namespace diffreward {

/// Throws InvalidArgument for a reward that does not read states and actions, or those of other sizes than the policy's, and
/// for a weight that is not positive.
std::shared_ptr<const RewardModel> anchored(std::shared_ptr<const RewardModel> reward,
                                            std::shared_ptr<const Bc> policy, double weight);

}  // namespace diffreward
