#include "rewards/evaluate/evaluate.h"

#include "rewards/evaluate/maze_task.h"

namespace diffreward {

RewardEvaluation evaluate_reward(const RewardModel& reward, const MazeMap& map, Point goal,
                                 const Dataset& expert, const Dataset& base,
                                 const RewardEvaluationConfig& config, const RewardModel* support) {
  validate(config);
  require(map.free(map.cell_at(goal)), "evaluate_reward: expected a goal in a free cell, got (", goal[0],
          ", ", goal[1], ")");
  const std::uint64_t seed = config.bootstrap.seed;
  const WindowPick pick{.every = config.every, .episodes = config.episodes, .seed = seed};
  const ScoredWindows expert_windows = score_windows(reward, expert, pick);
  const ScoredWindows base_windows = score_windows(reward, base, pick);
  const HeatmapConfig heat{.per_cell = config.per_cell,
                           .min_support = config.min_support,
                           .velocities = config.velocities,
                           .seed = seed};
  RewardEvaluation out;
  out.heatmap = reward_heatmap(reward, map, goal, heat, support);
  if (config.velocities > 0) out.marginal = marginal_heatmap(reward, map, goal, base_windows, heat);
  out.separation = separation(expert_windows, base_windows, config.stretch, config.bootstrap);
  const EpicConfig epic{.discount = config.discount, .seed = seed};
  const TransitionReward paid = transition_reward(reward);
  const auto own = [&](bool dense) {
    const auto reward_of_maze = maze_reward(goal, dense, static_cast<int>(base.action_dim()));
    return epic_distance(paid, transition_reward(*reward_of_maze), base, epic);
  };
  out.epic_dense = own(true);
  out.epic_sparse = own(false);
  out.preference =
      preference_report(expert_windows, base_windows, map, goal, {.bootstrap = config.bootstrap});
  return out;
}

Json RewardEvaluation::json() const {
  return {{"heatmap", heatmap.json()},
          {"marginal_heatmap", marginal ? marginal->json() : Json()},
          {"separation", separation.json()},
          {"epic", {{"dense", epic_dense}, {"sparse", epic_sparse}}},
          {"preference", preference.json()}};
}

}  // namespace diffreward
