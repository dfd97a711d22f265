// Actions drawn uniformly from the action box: the random level of every task.
#pragma once

#include <memory>

#include "core/config.h"
#include "core/rng.h"
#include "envs/agent.h"

namespace diffreward {

struct RandomConfig {
  int hold = 1;  // environment steps that an action is kept

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("hold", self.hold, "environment steps that an action is kept", Bounds{1, 1e6});
  }
};

/// Instance i draws from stream i. Throws InvalidArgument where an action has no bounds.
std::unique_ptr<Agent> make_agent(const RandomConfig& config, VectorEnv& env, const Streams& streams);

}  // namespace diffreward
