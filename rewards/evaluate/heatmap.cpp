#include "rewards/evaluate/heatmap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"

namespace diffreward {
namespace {

constexpr double kTail = 0.005;  // winsorised share at each end

double distance(Point a, Point b) {
  return std::hypot(a[0] - b[0], a[1] - b[1]);
}

/// The allowed position of greatest value; of equals, the one nearest to their centroid.
std::optional<Point> peak_among(const Heatmap& heatmap, const std::vector<std::uint8_t>& allowed) {
  double best = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (allowed[i]) best = std::max(best, heatmap.values[i]);
  std::vector<Point> ties;
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (allowed[i] && heatmap.values[i] == best) ties.push_back(heatmap.grid.points[i]);
  if (ties.empty()) return std::nullopt;
  Point centroid{0, 0};
  for (const Point& p : ties) {
    centroid[0] += p[0] / double(ties.size());
    centroid[1] += p[1] / double(ties.size());
  }
  return *std::min_element(ties.begin(), ties.end(),
                           [&](Point a, Point b) { return distance(a, centroid) < distance(b, centroid); });
}

double path_correlation(const Heatmap& heatmap, const MazeMap& map, Point goal) {
  const std::vector<double> length = map.path_lengths(heatmap.grid.points, goal);
  std::vector<double> value, nearness;
  for (std::size_t i = 0; i < length.size(); ++i) {
    if (!heatmap.clear[i] || !std::isfinite(length[i])) continue;
    value.push_back(heatmap.values[i]);
    nearness.push_back(-length[i]);
  }
  return spearman(value, nearness);
}

Heatmap empty_heatmap(const MazeMap& map, const HeatmapConfig& config) {
  Heatmap out;
  out.grid = maze_grid(map, config.per_cell);
  for (const Point& p : out.grid.points) out.clear.push_back(map.clear(p, config.ball_radius));
  return out;
}

/// Fills everything that follows from grid, values and clear.
void finish(Heatmap& heatmap, const MazeMap& map, Point goal) {
  heatmap.scaled = min_max(winsorise(heatmap.values, kTail));
  const std::optional<Point> peak = peak_among(heatmap, heatmap.clear);
  require(peak.has_value(), "heatmap: expected a position where the ball touches no wall, found none");
  heatmap.peak = *peak;
  heatmap.peak_to_goal = distance(*peak, goal);
  heatmap.rank_correlation = path_correlation(heatmap, map, goal);
}

void check_layout(const WindowLayout& layout) {
  require(layout.observation_dim >= 2, "heatmap: expected observations that start with a position, got ",
          layout.observation_dim, " columns");
}

}  // namespace

std::vector<float> standing_windows(const WindowLayout& layout, std::span<const Point> positions) {
  check_layout(layout);
  std::vector<float> out(positions.size() * std::size_t(layout.size()), 0.0f);
  float* row = out.data() + layout.action_dim;
  for (const Point& p : positions)
    for (int k = 0; k < layout.horizon; ++k, row += layout.width()) {
      row[0] = float(p[0]);
      row[1] = float(p[1]);
    }
  return out;
}

Heatmap reward_heatmap(const RewardModel& reward, const MazeMap& map, Point goal, const HeatmapConfig& config,
                       const RewardModel* support) {
  Heatmap out = empty_heatmap(map, config);
  out.values = score_all(reward, standing_windows(reward.layout(), out.grid.points));
  finish(out, map, goal);
  if (support) {
    const std::vector<double> typical =
        score_all(*support, standing_windows(support->layout(), out.grid.points));
    std::vector<std::uint8_t> allowed = out.clear;
    for (std::size_t i = 0; i < allowed.size(); ++i)
      allowed[i] = allowed[i] && typical[i] >= config.min_support;
    out.supported_peak = peak_among(out, allowed);
    if (out.supported_peak) out.supported_peak_to_goal = distance(*out.supported_peak, goal);
  }
  return out;
}

Heatmap marginal_heatmap(const RewardModel& reward, const MazeMap& map, Point goal, const ScoredWindows& base,
                         const HeatmapConfig& config) {
  const WindowLayout& layout = reward.layout();
  check_layout(layout);
  require(base.layout == layout && base.size() > 0 && config.velocities > 0,
          "marginal_heatmap: expected base windows in the reward's layout and velocities > 0");
  Heatmap out = empty_heatmap(map, config);
  out.values.assign(out.grid.points.size(), 0.0);
  const std::size_t size = std::size_t(layout.size());
  std::vector<float> windows(out.grid.points.size() * size);
  Rng rng(Streams(Purpose::kChoices, config.seed, 1)[0]);
  for (int draw = 0; draw < config.velocities; ++draw) {
    const float* source = base.windows.data() + rng.below(base.size()) * size;
    float* window = windows.data();
    for (const Point& p : out.grid.points) {
      std::copy_n(source, size, window);
      for (int k = 0; k < layout.horizon; ++k, window += layout.width()) {
        window[layout.action_dim] = float(p[0]);
        window[layout.action_dim + 1] = float(p[1]);
      }
    }
    const std::vector<double> scores = score_all(reward, windows);
    for (std::size_t i = 0; i < scores.size(); ++i) out.values[i] += scores[i] / config.velocities;
  }
  finish(out, map, goal);
  return out;
}

std::vector<Heatmap> heatmap_strip(const std::function<ScoreFn(int t)>& at, const RewardModel& reward,
                                   std::span<const int> timesteps, const MazeMap& map, Point goal,
                                   const HeatmapConfig& config) {
  std::vector<Heatmap> out;
  for (const int t : timesteps)
    out.push_back(reward_heatmap(FunctionReward(reward.layout(), reward.reads(), at(t)), map, goal, config));
  return out;
}

Image draw_reward(const Heatmap& heatmap, const MazeMap& map, Point goal, const std::string& title, int width,
                  int height) {
  const HeatmapStyle style{.title = title, .low = 0, .high = 1, .marks = {heatmap.peak}};
  return draw_heatmap(map, heatmap.grid, heatmap.scaled, goal, style, width, height);
}

Image draw_reward_strip(std::span<const Heatmap> heatmaps, std::span<const int> timesteps, const MazeMap& map,
                        Point goal, int height) {
  require(heatmaps.size() == timesteps.size() && !heatmaps.empty(),
          "draw_reward_strip: expected one heatmap a timestep, got ", heatmaps.size(), " and ",
          timesteps.size());
  std::vector<Image> pictures;
  const int width = height * map.columns() / map.rows();
  for (std::size_t i = 0; i < heatmaps.size(); ++i) {
    const HeatmapStyle style{.title = concat("t = ", timesteps[i]),
                             .low = 0,
                             .high = 1,
                             .color_bar = false,
                             .marks = {heatmaps[i].peak}};
    pictures.push_back(draw_heatmap(map, heatmaps[i].grid, heatmaps[i].scaled, goal, style, width, height));
  }
  return beside(pictures);
}

Json Heatmap::json() const {
  Json out = {{"peak", {peak[0], peak[1]}},
              {"peak_to_goal", peak_to_goal},
              {"rank_correlation", rank_correlation},
              {"per_cell", grid.per_cell}};
  if (supported_peak) {
    out["supported_peak"] = {(*supported_peak)[0], (*supported_peak)[1]};
    out["supported_peak_to_goal"] = supported_peak_to_goal;
  }
  return out;
}

}  // namespace diffreward
