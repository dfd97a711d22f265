// Steering: does a guide lead samples of the base model to the goal, and are they still trajectories? Success
// alone can be bought by teleporting, so it always stands beside the largest step and the share of points in
// free space.
#pragma once

#include <string>
#include <vector>

#include "agents/diffusion/window_model.h"
#include "core/statistics.h"
#include "datasets/dataset.h"
#include "envs/maze2d/draw.h"

namespace diffreward {

struct SteeringConfig {
  int samples = 512;               // trajectories per set
  double goal_radius = 0.5;        // cells; success
  double ball_radius = 0.1;        // cells
  double start_jitter = 0.3;       // cells; uniform offset of the start per axis
  BootstrapConfig bootstrap = {};  // its seed also draws the starts and the data's windows
};

/// What a set of trajectories [n, horizon] does. Intervals over trajectories.
struct TrajectoryMetrics {
  Estimate success;       ///< share whose last row lies within goal_radius of the goal
  Estimate success_any;   ///< share with any such row
  Estimate largest_step;  ///< mean over trajectories of the largest distance between neighbouring rows, cells
  double largest_step_q99 = 0, largest_step_max = 0;  ///< of these, cells
  Estimate free;                                      ///< share of points inside free cells
  Estimate clear;                                     ///< share of points where the ball touches no wall
  std::vector<double> final_distance;                 ///< [n]  of the last row to the goal, cells
  Json json() const;
};

/// Metrics of windows [n, horizon, width] in data units, rows [action, observation].
TrajectoryMetrics trajectory_metrics(std::span<const float> windows, const WindowLayout& layout,
                                     const MazeMap& map, Point goal, const SteeringConfig& config);

/// One set as sampled.
struct SteeringSet {
  std::string name;  ///< data, unguided, guided or expert: its key in the JSON
  TrajectoryMetrics metrics;
  std::vector<std::vector<Point>> paths;  ///< [n][horizon]
};

struct SteeringReport {
  SteeringSet data;                      ///< windows of the base data: what steps look like
  SteeringSet unguided, guided, expert;  ///< from equal starts and equal noise
  /// Success of the guided set over the expert model's and over the unguided, largest step over the data's
  /// (maxima and 99 % quantiles). 0 / 0 counts as 0, x / 0 as infinity (null in JSON).
  double success_to_expert = 0, success_to_unguided = 0, step_to_data = 0, step_q99_to_data = 0;
  Json json() const;
};

/// Random starts as first observations: free cells drawn uniformly, where the ball touches no wall and is not
/// yet at the goal, at rest.  [samples, observation_dim]
std::vector<float> random_starts(const MazeMap& map, Point goal, int observation_dim,
                                 const SteeringConfig& config);

/// Samples the base without and with the guide, and the expert, all from the same starts. Models must share a
/// layout.
SteeringReport evaluate_steering(const WindowModel& base, const WindowModel& expert, const Guide& guide,
                                 const Dataset& base_data, const MazeMap& map, Point goal,
                                 const SampleConfig& sample, const SteeringConfig& config);

/// The first `count` paths of a set over the maze.
Image draw_paths(const SteeringSet& set, const MazeMap& map, Point goal, int count, int width, int height);

}  // namespace diffreward
