#include "rewards/evaluate/preference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace diffreward {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kMoving = 0.1;    // cells / s; slower velocities have no direction
constexpr double kProbe = 0.02;    // cells; step of the derivative along the velocity
constexpr int kRowsPerWindow = 4;  // rows looked at in a long window

enum Behaviour : std::size_t { kSpeed, kHeading, kNearGoal, kWallContact, kGoalDistance, kBehaviours };
const BehaviourKind kKinds[kBehaviours] = {{"speed", "cells/s"},
                                           {"heading", "cosine"},
                                           {"near_goal", "share", true},
                                           {"wall_contact", "share", true},
                                           {"goal_distance", "cells"}};

/// What one side does: behaviour values per window (NaN where undefined), and where it is.
struct Side {
  const ScoredWindows* scored = nullptr;
  std::vector<double> value[kBehaviours];  // [windows]
  std::vector<Point> position;             // [rows looked at]
  std::vector<std::size_t> window;         // [rows looked at]
};

/// The rows looked at: evenly spaced, the last one included.
void pick_rows(const ScoredWindows& scored, Side& side, std::vector<Point>& velocity) {
  const int horizon = scored.layout.horizon, step = (horizon + kRowsPerWindow - 1) / kRowsPerWindow;
  for (std::size_t i = 0; i < scored.size(); ++i)
    for (int row = horizon - 1; row >= 0; row -= step) {
      side.position.push_back(scored.position(i, row));
      velocity.push_back(scored.velocity(i, row));
      side.window.push_back(i);
    }
}

/// Heading of each row: the path length is asked a little before and behind each moving position, all at
/// once.
std::vector<double> headings(const MazeMap& map, Point goal, const Side& side,
                             const std::vector<Point>& velocity, const std::vector<double>& length,
                             double goal_radius) {
  std::vector<double> out(side.position.size(), kNone);
  std::vector<Point> probes;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double speed = std::hypot(velocity[i][0], velocity[i][1]);
    if (speed <= kMoving || !(length[i] > goal_radius) || !std::isfinite(length[i])) continue;
    rows.push_back(i);
    for (const double sign : {-1.0, 1.0})
      probes.push_back({side.position[i][0] + sign * kProbe * velocity[i][0] / speed,
                        side.position[i][1] + sign * kProbe * velocity[i][1] / speed});
  }
  const std::vector<double> probed = map.path_lengths(probes, goal);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    double behind = probed[2 * k], ahead = probed[2 * k + 1], span = 2 * kProbe;
    // Next to a wall one of the two may lie inside it.
    if (!std::isfinite(behind)) behind = length[rows[k]], span -= kProbe;
    if (!std::isfinite(ahead)) ahead = length[rows[k]], span -= kProbe;
    if (span > 0) out[rows[k]] = std::clamp((behind - ahead) / span, -1.0, 1.0);
  }
  return out;
}

Side observe(const ScoredWindows& scored, const MazeMap& map, Point goal, const PreferenceConfig& config) {
  Side side;
  side.scored = &scored;
  std::vector<Point> velocity;
  pick_rows(scored, side, velocity);
  const std::size_t n = side.position.size();
  std::vector<double> row[kBehaviours];
  row[kGoalDistance] = map.path_lengths(side.position, goal);
  row[kHeading] = headings(map, goal, side, velocity, row[kGoalDistance], config.goal_radius);
  for (std::size_t i = 0; i < n; ++i) {
    const Point p = side.position[i];
    row[kSpeed].push_back(std::hypot(velocity[i][0], velocity[i][1]));
    row[kNearGoal].push_back(std::hypot(p[0] - goal[0], p[1] - goal[1]) <= config.goal_radius);
    row[kWallContact].push_back(!map.clear(p, config.touch));
  }
  for (std::size_t b = 0; b < kBehaviours; ++b) {
    std::vector<double> sum(scored.size()), count(scored.size());
    for (std::size_t i = 0; i < n; ++i) {
      if (!std::isfinite(row[b][i])) continue;
      sum[side.window[i]] += row[b][i];
      count[side.window[i]] += 1;
    }
    for (std::size_t w = 0; w < scored.size(); ++w)
      side.value[b].push_back(count[w] > 0 ? sum[w] / count[w] : kNone);
  }
  return side;
}

/// Rows per cell and episode.
struct CellCounts {
  std::vector<std::vector<double>> in_cell;  // [free cells][episodes]
  std::vector<double> all;                   // [episodes]
  double share(std::size_t cell, const std::vector<double>& drawn) const {
    double here = 0.5, total = 0.5 * double(in_cell.size());
    for (std::size_t e = 0; e < all.size(); ++e) {
      here += drawn[e] * in_cell[cell][e];
      total += drawn[e] * all[e];
    }
    return here / total;
  }
};

/// The free cell each row lies in, or the number of free cells for a row inside a wall.
std::vector<std::size_t> cells_of(const Side& side, const MazeMap& map) {
  std::map<Cell, std::size_t> number;
  for (const Cell& cell : map.free_cells()) number.emplace(cell, number.size());
  std::vector<std::size_t> out;
  for (const Point& p : side.position) {
    const auto found = number.find(map.cell_at(p));
    out.push_back(found == number.end() ? number.size() : found->second);
  }
  return out;
}

CellCounts count_cells(const Side& side, const std::vector<std::size_t>& cell, std::size_t cells) {
  std::map<std::size_t, std::size_t> episode;
  for (const std::size_t e : side.scored->episode) episode.emplace(e, episode.size());
  CellCounts out{std::vector(cells, std::vector<double>(episode.size())),
                 std::vector<double>(episode.size())};
  for (std::size_t i = 0; i < cell.size(); ++i) {
    if (cell[i] == cells) continue;
    const std::size_t e = episode.at(side.scored->episode[side.window[i]]);
    out.in_cell[cell[i]][e] += 1;
    out.all[e] += 1;
  }
  return out;
}

std::vector<RegionPreference> compare_regions(const Side& expert, const Side& base, const MazeMap& map,
                                              const BootstrapConfig& bootstrap) {
  const std::size_t cells = map.free_cells().size();
  const std::vector<std::size_t> expert_cell = cells_of(expert, map), base_cell = cells_of(base, map);
  const CellCounts e = count_cells(expert, expert_cell, cells), b = count_cells(base, base_cell, cells);
  std::vector<double> reward_sum(cells), reward_count(cells);
  for (std::size_t i = 0; i < base_cell.size(); ++i) {
    if (base_cell[i] == cells) continue;
    reward_sum[base_cell[i]] += base.scored->reward[base.window[i]];
    reward_count[base_cell[i]] += 1;
  }
  const double middle = mean(base.scored->reward), deviation = standard_deviation(base.scored->reward);
  const std::size_t sizes[] = {e.all.size(), b.all.size()};
  const auto total = [](const std::vector<double>& counts) {
    double sum = 0;
    for (const double c : counts) sum += c;
    return sum;
  };
  std::vector<RegionPreference> out;
  for (std::size_t c = 0; c < cells; ++c) {
    RegionPreference region;
    region.cell = map.free_cells()[c];
    region.expert = total(e.in_cell[c]) / std::max(total(e.all), 1.0);
    region.base = total(b.in_cell[c]) / std::max(total(b.all), 1.0);
    const auto log_ratio = [&](const DrawCounts& drawn) {
      return std::log(e.share(c, drawn[0]) / b.share(c, drawn[1]));
    };
    region.log_ratio = bootstrap_counts(sizes, log_ratio, bootstrap);
    region.reward_contrast =
        reward_count[c] > 0 && deviation > 0 ? (reward_sum[c] / reward_count[c] - middle) / deviation : kNone;
    out.push_back(region);
  }
  return out;
}

std::vector<double> raster_shares(const Side& side, const MazeMap& map, const MazeGrid& raster) {
  std::map<int, std::size_t> number;
  for (std::size_t i = 0; i < raster.index.size(); ++i) number.emplace(raster.index[i], i);
  std::vector<double> out(raster.points.size());
  const int columns = map.columns() * raster.per_cell;
  for (const Point& p : side.position) {
    const int row = int(std::floor((p[0] + 0.7) * raster.per_cell));
    const int column = int(std::floor((p[1] + 0.7) * raster.per_cell));
    const auto found = number.find(row * columns + column);
    if (found != number.end()) out[found->second] += 1 / double(side.position.size());
  }
  return out;
}

}  // namespace

PreferenceReport preference_report(const ScoredWindows& expert, const ScoredWindows& base, const MazeMap& map,
                                   Point goal, const PreferenceConfig& config) {
  require(expert.layout == base.layout, "preference_report: expected expert and base windows in one layout");
  require(base.layout.observation_dim >= 4, "preference_report: expected observations (x, y, vx, vy), got ",
          base.layout.observation_dim, " columns");
  const Side e = observe(expert, map, goal, config), b = observe(base, map, goal, config);
  PreferenceReport out;
  for (const Behaviour behaviour : {kSpeed, kHeading, kNearGoal, kWallContact, kGoalDistance})
    out.behaviours.push_back(compare_behaviour(kKinds[behaviour], {expert, e.value[behaviour]},
                                               {base, b.value[behaviour]}, b.value[kGoalDistance],
                                               config.bootstrap));
  out.regions = compare_regions(e, b, map, config.bootstrap);
  out.raster = maze_grid(map, config.raster);
  out.expert_share = raster_shares(e, map, out.raster);
  out.base_share = raster_shares(b, map, out.raster);
  return out;
}

Json PreferenceReport::json() const {
  Json out = {{"behaviours", Json::array()}, {"regions", Json::array()}};
  for (const BehaviourPreference& b : behaviours) out["behaviours"].push_back(b.json());
  for (const RegionPreference& r : regions)
    out["regions"].push_back(
        {{"cell", {r.cell[0], r.cell[1]}},
         {"expert", r.expert},
         {"base", r.base},
         {"log_ratio", r.log_ratio.json()},
         {"reward_contrast", std::isfinite(r.reward_contrast) ? Json(r.reward_contrast) : Json()}});
  return out;
}

Image draw_occupancy(const PreferenceReport& report, const MazeMap& map, Point goal, int width, int height) {
  std::vector<double> difference;
  for (std::size_t i = 0; i < report.expert_share.size(); ++i)
    difference.push_back(100 * (report.expert_share[i] - report.base_share[i]));
  return draw_heatmap(map, report.raster, difference, goal,
                      {.title = "expert - base, % of time", .diverging = true}, width, height);
}

Image draw_regions(const PreferenceReport& report, const MazeMap& map, Point goal, int width, int height) {
  std::map<Cell, double> ratio;
  for (const RegionPreference& region : report.regions) ratio[region.cell] = region.log_ratio.value;
  std::vector<double> values;
  for (const Point& p : report.raster.points) values.push_back(ratio.at(map.cell_at(p)));
  return draw_heatmap(map, report.raster, values, goal, {.title = "log(expert / base)", .diverging = true},
                      width, height);
}

}  // namespace diffreward
