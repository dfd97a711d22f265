// The front of reward evaluation: everything one asks of a reward, in one call: on recordings of any environment, and
// of a maze, where a reward can be drawn, what its map tells. The same call judges a relative reward, the
// discriminator beside it, or any other RewardModel. What the numbers mean: docs/evaluation.md.
#pragma once

#include <optional>

#include "rewards/evaluate/agreement.h"
#include "rewards/evaluate/epic.h"
#include "rewards/evaluate/heatmap.h"
#include "rewards/evaluate/maze_task.h"
#include "rewards/evaluate/preference.h"
#include "rewards/evaluate/robot_preference.h"
#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

struct RewardEvaluationConfig {
  int per_cell = 16;          // heatmap samples per cell and axis
  int velocities = 64;        // base windows averaged over in the marginal heatmap; 0: no marginal heatmap
  double min_support = 0.01;  // support below which a position does not count for the supported peak
  int stretch =
      128;        // environment steps over which rewards are averaged to tell expert from base; 0: episodes
  int every = 4;  // steps between the windows that are scored
  int episodes = 512;      // at most so many of each side
  double discount = 0.99;  // of the EPIC distance
  BootstrapConfig bootstrap = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("per_cell", self.per_cell, "heatmap samples per cell and axis", Bounds{1, 256});
    field("velocities", self.velocities, "base windows averaged over in the marginal heatmap, 0 for none",
          Bounds{0, 65536});
    field("min_support", self.min_support, "least support of the supported peak", Bounds{0, 1});
    field("stretch", self.stretch, "steps over which rewards are averaged, 0 for whole episodes",
          Bounds{0, 1e9});
    field("every", self.every, "steps between scored windows", Bounds{1, 1e6});
    field("episodes", self.episodes, "at most so many episodes of each side", Bounds{1, 1e6});
    field("discount", self.discount, "discount of the EPIC distance", Bounds{0, 1});
    BootstrapConfig::visit(self.bootstrap, field);
  }
};

/// What a map tells of a reward.
struct MazeEvaluation {
  Heatmap heatmap;                         ///< standing still
  std::optional<Heatmap> marginal;         ///< averaged over base velocities and actions
  double epic_dense = 0, epic_sparse = 0;  ///< EPIC distance to the maze's own rewards
  PreferenceReport preference;
};

struct RewardEvaluation {
  Separation separation;  ///< held-out expert against base
  std::optional<Agreement>
      agreement;  ///< with the task's own reward on base data, where that was recorded in the expert's task
  std::optional<MazeEvaluation> maze;
  std::optional<RobotPreferenceReport> robot;  ///< of recordings of a robot
  Json json() const;
};

/// `expert` and `base` are episodes the reward was not fitted on; `maze`: the one that they walk through, null for other
/// environments. `support`: see reward_heatmap.
RewardEvaluation evaluate_reward(const RewardModel& reward, const MazeTask* maze, const Dataset& expert,
                                 const Dataset& base, const RewardEvaluationConfig& config = {},
                                 const RewardModel* support = nullptr);

}  // namespace diffreward
