#include "rewards/evaluate/steering.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"

namespace diffreward {
namespace {

double distance(Point a, Point b) {
  return std::hypot(a[0] - b[0], a[1] - b[1]);
}

std::vector<std::vector<Point>> paths_of(std::span<const float> windows, const WindowLayout& layout) {
  require(
      layout.observation_dim >= 2 && layout.size() > 0 && windows.size() % std::size_t(layout.size()) == 0,
      "steering: expected whole windows of ", layout.size(), " numbers, got ", windows.size());
  std::vector<std::vector<Point>> out(windows.size() / std::size_t(layout.size()));
  const float* row = windows.data() + layout.action_dim;
  for (std::vector<Point>& path : out)
    for (int k = 0; k < layout.horizon; ++k, row += layout.width()) path.push_back({row[0], row[1]});
  return out;
}

SteeringSet make_set(std::string name, std::span<const float> windows, const WindowLayout& layout,
                     const MazeMap& map, Point goal, const SteeringConfig& config) {
  return {std::move(name), trajectory_metrics(windows, layout, map, goal, config), paths_of(windows, layout)};
}

std::vector<float> data_windows(const Dataset& data, const WindowLayout& layout,
                                const SteeringConfig& config) {
  const WindowSampler sampler(data, layout, false);
  std::vector<float> out(std::size_t(config.samples) * std::size_t(layout.size()));
  Rng rng(Streams(Purpose::kChoices, config.bootstrap.seed, 3)[0]);
  sampler.sample(rng, out);
  return out;
}

double ratio(double a, double b) {
  return b > 0 ? a / b : (a > 0 ? std::numeric_limits<double>::infinity() : 0.0);
}

Json finite(double x) {
  return std::isfinite(x) ? Json(x) : Json();
}

}  // namespace

TrajectoryMetrics trajectory_metrics(std::span<const float> windows, const WindowLayout& layout,
                                     const MazeMap& map, Point goal, const SteeringConfig& config) {
  const std::vector<std::vector<Point>> paths = paths_of(windows, layout);
  require(!paths.empty(), "trajectory_metrics: expected at least one trajectory, got none");
  Sample last, any, step, free, clear;
  TrajectoryMetrics out;
  for (const std::vector<Point>& path : paths) {
    double nearest = std::numeric_limits<double>::infinity(), largest = 0, in_free = 0, in_clear = 0;
    for (std::size_t k = 0; k < path.size(); ++k) {
      nearest = std::min(nearest, distance(path[k], goal));
      if (k > 0) largest = std::max(largest, distance(path[k], path[k - 1]));
      in_free += map.clear(path[k], 0) / double(path.size());
      in_clear += map.clear(path[k], config.ball_radius) / double(path.size());
    }
    out.final_distance.push_back(distance(path.back(), goal));
    last.values.push_back(out.final_distance.back() <= config.goal_radius);
    any.values.push_back(nearest <= config.goal_radius);
    step.values.push_back(largest);
    free.values.push_back(in_free);
    clear.values.push_back(in_clear);
  }
  out.success = bootstrap_mean(last, config.bootstrap);
  out.success_any = bootstrap_mean(any, config.bootstrap);
  out.largest_step = bootstrap_mean(step, config.bootstrap);
  out.largest_step_q99 = quantile(step.values, 0.99);
  out.largest_step_max = quantile(step.values, 1);
  out.free = bootstrap_mean(free, config.bootstrap);
  out.clear = bootstrap_mean(clear, config.bootstrap);
  return out;
}

std::vector<float> random_starts(const MazeMap& map, Point goal, int observation_dim,
                                 const SteeringConfig& config) {
  require(observation_dim >= 2, "random_starts: expected observations that start with a position, got ",
          observation_dim, " columns");
  std::vector<float> out(std::size_t(config.samples) * std::size_t(observation_dim), 0.0f);
  Rng rng(Streams(Purpose::kStarts, config.bootstrap.seed)[0]);
  const std::vector<Cell>& cells = map.free_cells();
  for (std::size_t i = 0; i < std::size_t(config.samples); ++i) {
    Point p{};
    int tries = 0;
    do {
      require(++tries <= 10000, "random_starts: expected free space outside the goal's reach, found none");
      p = MazeMap::point_of(cells[rng.below(cells.size())]);
      for (double& axis : p) axis += rng.uniform(-config.start_jitter, config.start_jitter);
    } while (!map.clear(p, config.ball_radius) || distance(p, goal) <= config.goal_radius);
    out[i * std::size_t(observation_dim)] = float(p[0]);
    out[i * std::size_t(observation_dim) + 1] = float(p[1]);
  }
  return out;
}

SteeringReport evaluate_steering(const WindowModel& base, const WindowModel& expert, const Guide& guide,
                                 const Dataset& base_data, const MazeMap& map, Point goal,
                                 const SampleConfig& sample, const SteeringConfig& config) {
  const WindowLayout& layout = base.layout();
  require(expert.layout() == layout,
          "evaluate_steering: expected base and expert models of one window layout");
  require(config.samples >= 1, "evaluate_steering: expected at least one sample, got ", config.samples);
  const std::vector<Condition> start = {{0, random_starts(map, goal, layout.observation_dim, config)}};
  SampleConfig unguided = sample;
  unguided.scale = 0;
  const auto set = [&](const char* name, std::span<const float> windows) {
    return make_set(name, windows, layout, map, goal, config);
  };
  SteeringReport out{.data = set("data", data_windows(base_data, layout, config)),
                     .unguided = set("unguided", base.sample(config.samples, start, unguided)),
                     .guided = set("guided", base.sample(config.samples, start, sample, &guide)),
                     .expert = set("expert", expert.sample(config.samples, start, unguided))};
  const TrajectoryMetrics &guided = out.guided.metrics, &data = out.data.metrics;
  out.success_to_expert = ratio(guided.success.value, out.expert.metrics.success.value);
  out.success_to_unguided = ratio(guided.success.value, out.unguided.metrics.success.value);
  out.step_to_data = ratio(guided.largest_step_max, data.largest_step_max);
  out.step_q99_to_data = ratio(guided.largest_step_q99, data.largest_step_q99);
  return out;
}

Json TrajectoryMetrics::json() const {
  return {{"success", success.json()},
          {"success_any", success_any.json()},
          {"largest_step", largest_step.json()},
          {"largest_step_q99", largest_step_q99},
          {"largest_step_max", largest_step_max},
          {"free", free.json()},
          {"clear", clear.json()},
          {"final_distance_median", median(final_distance)},
          {"trajectories", final_distance.size()}};
}

Json SteeringReport::json() const {
  return {{"data", data.metrics.json()},
          {"unguided", unguided.metrics.json()},
          {"guided", guided.metrics.json()},
          {"expert", expert.metrics.json()},
          {"success_to_expert", finite(success_to_expert)},
          {"success_to_unguided", finite(success_to_unguided)},
          {"step_to_data", finite(step_to_data)},
          {"step_q99_to_data", finite(step_q99_to_data)}};
}

Image draw_paths(const SteeringSet& set, const MazeMap& map, Point goal, int count, int width, int height) {
  std::vector<Trajectory> lines;
  for (std::size_t i = 0; i < std::min(set.paths.size(), std::size_t(std::max(count, 0))); ++i)
    lines.push_back({.points = set.paths[i]});
  return draw_trajectories(map, lines, goal, width, height);
}

}  // namespace diffreward
