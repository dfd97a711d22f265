// The waypoint controller that writes maze data: shortest path on the grid, PD control towards each waypoint.
//
// Action per axis: gain * (waypoint - position) - damping * velocity, clipped to [-1, 1]. A waypoint is
// taken when closer than `reach`; the last one is the goal itself, which the environment may move (Maze2D's
// option at_goal). D4RL's gains are 10 and 1 with reach 0.1; the paper's fork uses 3 and 0.548 with reach 0.3,
// which are the defaults here.
#pragma once

#include <memory>

#include "core/config.h"
#include "core/rng.h"
#include "envs/agent.h"

namespace diffreward {

struct WaypointConfig {
  double gain = 3;               // 1 / cells
  double damping = 0.548;        // s / m
  double reach = 0.3;            // cells
  double waypoint_jitter = 0.2;  // cells; waypoints but the last are shifted by U(-jitter, 0) per axis
  double action_noise = 0;       // standard deviation of the normal noise added to actions

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("gain", self.gain, "proportional gain, 1/cells", Bounds{0, 1000});
    field("damping", self.damping, "velocity gain, s/m", Bounds{0, 1000});
    field("reach", self.reach, "a waypoint counts as taken within this distance, cells", Bounds{0, 1});
    field("waypoint_jitter", self.waypoint_jitter, "uniform shift of waypoints, cells", Bounds{0, 0.5});
    field("action_noise", self.action_noise, "standard deviation of noise added to actions", Bounds{0, 10});
  }
};

/// Walks every instance of `env` to its own current goal; jitter and noise of instance i come from stream i.
/// Throws InvalidArgument for environments other than mazes, and for instances of different maps.
std::unique_ptr<Agent> make_agent(const WaypointConfig& config, VectorEnv& env, const Streams& streams);

}  // namespace diffreward
