// The waypoint controller that writes maze data: shortest path on the grid, PD control towards each waypoint.
//
// Action per axis: gain * (waypoint - position) - damping * velocity, clipped to [-1, 1]. A waypoint is
// taken when closer than `reach`; the last one is the goal itself. D4RL's gains are 10 and 1 with reach 0.1;
// the paper's fork uses 3 and 0.548 with reach 0.3, which are the defaults here.
#pragma once

#include <memory>

#include "core/config.h"
#include "datasets/collect.h"

namespace diffreward {

struct WaypointConfig {
  double gain = 3;               // 1 / cells
  double damping = 0.548;        // s / m
  double reach = 0.3;            // cells
  double waypoint_jitter = 0.2;  // cells; waypoints but the last are shifted by U(-jitter, 0) per axis
  double action_noise = 0;       // standard deviation of the normal noise added to actions
  std::string at_goal = "stay";  // stay, or new_goal: a random goal without reset (D4RL's base data)
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("gain", self.gain, "proportional gain, 1/cells", Bounds{0, 1000});
    field("damping", self.damping, "velocity gain, s/m", Bounds{0, 1000});
    field("reach", self.reach, "a waypoint counts as taken within this distance, cells", Bounds{0, 1});
    field("waypoint_jitter", self.waypoint_jitter, "uniform shift of waypoints, cells", Bounds{0, 0.5});
    field("action_noise", self.action_noise, "standard deviation of noise added to actions", Bounds{0, 10});
    field("at_goal", self.at_goal, "what to do at the goal", Choices{"stay", "new_goal"});
    field("seed", self.seed, "seed of jitter and noise");
  }
};

/// A policy for collect() on maze environments: walks every instance to its own current goal. Writes one
/// extra column, "goal_switched": 1 on the first row of a new goal within an episode. Throws InvalidArgument
/// for other environments.
PolicyFn waypoint_policy(const WaypointConfig& config, Recording recording = Recording::kBase);
/// The extra column above, for CollectInfo::extra_fields.
std::vector<InfoField> waypoint_extra_fields();

}  // namespace diffreward
