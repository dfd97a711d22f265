// A linear law, u = bias - gain x: the best behaviour of a linear-quadratic task, and a plain behaviour of others.
#pragma once

#include <memory>
#include <vector>

#include "core/config.h"
#include "core/rng.h"
#include "envs/agent.h"

namespace diffreward {

struct LinearConfig {
  std::vector<double> gain = {};  // [act_dim, obs_dim] row by row; empty: 0
  std::vector<double> bias = {};  // [act_dim]; empty: 0
  double action_noise = 0;        // standard deviation of the normal noise added to actions

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("gain", self.gain, "[action, observation] row by row, subtracted; empty for 0");
    field("bias", self.bias, "[action], added; empty for 0");
    field("action_noise", self.action_noise, "standard deviation of noise added to actions", Bounds{0, 1e6});
  }
};

/// Noise of instance i comes from stream i; actions are clipped to the action box. Throws InvalidArgument for a gain or
/// a bias of another size.
std::unique_ptr<Agent> make_agent(const LinearConfig& config, VectorEnv& env, const Streams& streams);

}  // namespace diffreward
