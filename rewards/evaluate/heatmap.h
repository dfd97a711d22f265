// Where in the maze a reward is high: values of windows that stand still at each position, the peak, and how
// the values order positions compared with the shortest path to the goal.
#pragma once

#include <optional>
#include <vector>

#include "envs/maze2d/draw.h"
#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

struct HeatmapConfig {
  int per_cell = 16;          // samples per cell and axis
  double ball_radius = 0.1;   // cells; positions nearer to a wall do not count for peak and correlation
  double min_support = 0.01;  // positions of less support do not count for `supported_peak`
  int velocities = 64;        // base windows averaged over (marginal heatmap only)
  std::uint64_t seed = 0;     // of the choice of these
};

struct Heatmap {
  MazeGrid grid;               // the positions
  std::vector<double> values;  // [grid points]  raw rewards
  std::vector<double> scaled;  // [grid points]  winsorised by 0.5 % at both tails, then min-max to [0, 1]
  std::vector<std::uint8_t> clear;  // [grid points]  a ball can be here
  /// Argmax of the raw values over clear positions. Where several share the maximum (a plateau), the one
  /// nearest to their centroid, so that the peak of a disc is its middle and not a corner of the raster.
  Point peak{};
  double peak_to_goal = 0;              ///< Euclidean, cells
  std::optional<Point> supported_peak;  ///< the same over clear positions on the base data's support
  double supported_peak_to_goal = 0;
  double rank_correlation = 0;  ///< Spearman of values with minus the shortest path to the goal
  Json json() const;            ///< everything but the arrays
};

/// Windows whose rows all stand at `position`, with velocity and action 0.  [n, horizon, width]
std::vector<float> standing_windows(const WindowLayout& layout, std::span<const Point> positions);

/// The reward of standing at each grid position. `support`, if given, scores how typical a window is of the
/// base data, in [0, 1] (RelativeReward::support as a FunctionReward).
Heatmap reward_heatmap(const RewardModel& reward, const MazeMap& map, Point goal, const HeatmapConfig& config,
                       const RewardModel* support = nullptr);

/// The reward of each position averaged over velocities and actions of base windows: the same `velocities`
/// windows everywhere, their positions replaced. For rewards that read more than positions.
Heatmap marginal_heatmap(const RewardModel& reward, const MazeMap& map, Point goal, const ScoredWindows& base,
                         const HeatmapConfig& config);

/// The reward over noise: at(t) is the reward read at timestep t. Values of different t may not be compared.
std::vector<Heatmap> heatmap_strip(const std::function<ScoreFn(int t)>& at, const RewardModel& reward,
                                   std::span<const int> timesteps, const MazeMap& map, Point goal,
                                   const HeatmapConfig& config);

/// The scaled values with the goal as a star and the peak as a cross.
Image draw_reward(const Heatmap& heatmap, const MazeMap& map, Point goal, const std::string& title, int width,
                  int height);
/// One picture per timestep, side by side.
Image draw_reward_strip(std::span<const Heatmap> heatmaps, std::span<const int> timesteps, const MazeMap& map,
                        Point goal, int height);

}  // namespace diffreward
