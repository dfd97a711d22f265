#include "rewards/evaluate/evaluate.h"

namespace diffreward {
namespace {

MazeEvaluation evaluate_on_maze(const RewardModel& reward, const MazeTask& task,
                                const ScoredWindows& expert_windows, const ScoredWindows& base_windows,
                                const Dataset& base, const RewardEvaluationConfig& config,
                                const RewardModel* support) {
  const MazeMap& map = task.map;
  const Point goal = task.goal;
  require(map.free(map.cell_at(goal)), "evaluate_reward: expected a goal in a free cell, got (", goal[0],
          ", ", goal[1], ")");
  const std::uint64_t seed = config.bootstrap.seed;
  const HeatmapConfig heat{.per_cell = config.per_cell,
                           .min_support = config.min_support,
                           .velocities = config.velocities,
                           .seed = seed};
  MazeEvaluation out;
  out.heatmap = reward_heatmap(reward, map, goal, heat, support);
  if (config.velocities > 0) out.marginal = marginal_heatmap(reward, map, goal, base_windows, heat);
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

}  // namespace

RewardEvaluation evaluate_reward(const RewardModel& reward, const MazeTask* maze, const Dataset& expert,
                                 const Dataset& base, const RewardEvaluationConfig& config,
                                 const RewardModel* support) {
  validate(config);
  const WindowPick pick{.every = config.every, .episodes = config.episodes, .seed = config.bootstrap.seed};
  const ScoredWindows expert_windows = score_windows(reward, expert, pick),
                      base_windows = score_windows(reward, base, pick);
  RewardEvaluation out{
      separation(expert_windows, base_windows, config.stretch, config.bootstrap), {}, {}, {}};
  const Provenance &from = base.provenance(), &wanted = expert.provenance();
  if (!from.env.empty() && from.env == wanted.env && from.env_options == wanted.env_options)
    out.agreement = agreement(base_windows, base, config.bootstrap);
  if (maze != nullptr)
    out.maze = evaluate_on_maze(reward, *maze, expert_windows, base_windows, base, config, support);
  if (RecordedRobot::recorded(expert) && RecordedRobot::recorded(base))
    out.robot = robot_preference(expert_windows, expert, base_windows, base, config.bootstrap);
  return out;
}

Json RewardEvaluation::json() const {
  Json json = {{"separation", separation.json()}};
  if (agreement) json["agreement"] = agreement->json();
  if (robot) json["preference"] = robot->json();
  if (!maze) return json;
  json["heatmap"] = maze->heatmap.json();
  json["marginal_heatmap"] = maze->marginal ? maze->marginal->json() : Json();
  json["epic"] = {{"dense", maze->epic_dense}, {"sparse", maze->epic_sparse}};
  json["preference"] = maze->preference.json();
  return json;
}

}  // namespace diffreward
