// The front door of agents: something that acts.
#pragma once

#include <span>

namespace diffreward {

class Agent {
 public:
  virtual ~Agent() = default;
  /// Chooses actions for n observations.  obs: [n, obs_dim], actions: [n, act_dim]; task units
  virtual void act(std::span<const double> obs, std::span<double> actions) = 0;
  /// Forgets what it remembers of the instances with mask[i] != 0 (plans, histories); an empty mask means all.
  virtual void reset(std::span<const unsigned char> mask) { (void)mask; }
};

}  // namespace diffreward
