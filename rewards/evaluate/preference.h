// What the expert prefers over the base, and whether the reward knows it: regions of the maze and kinds of
// behaviour.
//
//   speed           |v|, cells / s
//   heading         cosine between the velocity and the shortest path to the goal: minus the derivative of
//   the path length
//                   along the velocity; only where the ball moves (> 0.1 cells / s) outside the goal's reach
//   near_goal       within 0.5 cells of the goal (share of rows: dwell time)
//   wall_contact    a wall within touching distance (share of rows)
//   goal_distance   length of the shortest path to the goal, cells
//
// Each is averaged over the rows of a window; what correlations hold fixed is the distance to the goal. Intervals resample
// whole episodes.
#pragma once

#include <string>
#include <vector>

#include "envs/maze2d/draw.h"
#include "rewards/evaluate/behaviour.h"

namespace diffreward {

struct PreferenceConfig {
  double goal_radius = 0.5;  // cells; reach of the goal
  double touch = 0.12;       // cells between the ball's centre and a wall: the ball's radius and a margin
  int raster = 4;            // samples per cell and axis of the occupancy picture
  BootstrapConfig bootstrap = {};
};

/// One free cell.
struct RegionPreference {
  Cell cell{};
  double expert = 0, base = 0;  ///< share of the rows
  Estimate log_ratio;           ///< log(expert / base), half a row added to every cell
  /// Mean reward of base rows here minus the mean of all, in standard deviations; NaN where the base never
  /// is.
  double reward_contrast = 0;
};

struct PreferenceReport {
  std::vector<BehaviourPreference> behaviours;
  std::vector<RegionPreference> regions;  ///< in the order of MazeMap::free_cells()
  MazeGrid raster;
  std::vector<double> expert_share, base_share;  ///< [raster points]  share of the rows
  Json json() const;                             ///< without the raster
};

/// Both sides must be in one layout whose observations are (x, y, vx, vy).
PreferenceReport preference_report(const ScoredWindows& expert, const ScoredWindows& base, const MazeMap& map,
                                   Point goal, const PreferenceConfig& config);

/// Where the expert is more (red) and less (blue) than the base: difference of the shares, % of the rows.
Image draw_occupancy(const PreferenceReport& report, const MazeMap& map, Point goal, int width, int height);
/// The regions' log ratios, blue to red.
Image draw_regions(const PreferenceReport& report, const MazeMap& map, Point goal, int width, int height);

}  // namespace diffreward
