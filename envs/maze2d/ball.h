// The ball of every maze: what may differ between instances.
#pragma once

#include "core/config.h"

namespace diffreward {

/// Physical parameters in which instances of a maze may differ. Gravity would act out of the plane, and
/// contacts have no friction in D4RL's model.
struct MazePhysicsConfig {
  double mass_scale = 1;     // of the ball's mass
  double damping_scale = 1;  // of the ball's damping

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("mass_scale", self.mass_scale, "factor of the ball's mass", Bounds{1e-3, 1e3});
    field("damping_scale", self.damping_scale, "factor of the ball's damping", Bounds{0, 1e3});
  }
};

}  // namespace diffreward
