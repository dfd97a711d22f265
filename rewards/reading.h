// Readings: how a relative reward, which is a log density ratio up to scale and constant, is paid out to an
// agent.
//
//   plain          r = rho                                        the paper's way
//   shaped         r = rho(window) - rho(window a step before): plain rho, shaped by the potential
//                  rho / (1 - gamma), times 1 - gamma. Shaping keeps the optimal policies (Ng et al. 1999);
//                  gone is rho's common level, beside which an agent hardly sees what its step changes
//   density_ratio  r = exp(beta (z - z99)),  z = (rho - mean) / deviation on base data, z99 its 99 % quantile
//                  (the exponent is cut at 80, so that r stays finite)
//   support        r = density_ratio where support(window) >= alpha, else 0: nothing is paid where the base
//                  model has no mass and rho is an extrapolation
//   centred        r = z' = (rho - mean) / deviation on base data: of no sign that would make living or falling good
//   absorbing      r = log d_expert / d_base, nats, of time that goes on after an end by the task in one absorbing state
//                  (Kostrikov et al. 2019). With f the share of the time that a side spends there,
//                    alive:    nats_per_unit rho - log E_base[exp(nats_per_unit rho)] + log((1 - f_expert) / (1 - f_base))
//                    at ends:  besides, log(f_expert / f_base) / (1 - discount): that for ever
//   negated, survival   r = -rho and r = 1: nulls, which rho has to be better than
#pragma once

#include <memory>

#include "core/config.h"
#include "rewards/relative/relative_reward.h"

namespace diffreward {

struct ReadingConfig {
  std::string reading = "plain";  // one of the above
  double beta = 6;                // inverse temperature of the density ratio
  double alpha = 0.01;            // smallest conformal p-value that is paid
  double discount = 0.99;         // of the learner: what an eternity in the absorbing state is worth
  int t = -1;                     // timestep; -1: the reward's own read_t

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("reading", self.reading, "how the reward is paid out",
          Choices{"plain", "shaped", "density_ratio", "support", "centred", "absorbing", "negated",
                  "survival"});
    field("beta", self.beta, "inverse temperature of the density ratio", Bounds{0, 1000});
    field("alpha", self.alpha, "smallest p-value under base data that is paid", Bounds{0, 1});
    field("discount", self.discount, "of the learner, for what an absorbing state is worth",
          Bounds{0, 0.999999});
    field("t", self.t, "timestep, -1 for the reward's own", Bounds{-1, 10000});
  }
};

/// A RewardModel that pays `reward` out as configured. Throws InvalidArgument for a timestep the reward does
/// not have, for a reading by statistics on base data at another timestep than read_t, which they belong to, and for an
/// absorbing one of a reward whose data had no known limit.
std::shared_ptr<const RewardModel> read_reward(std::shared_ptr<const RelativeReward> reward,
                                               const ReadingConfig& config);

}  // namespace diffreward
