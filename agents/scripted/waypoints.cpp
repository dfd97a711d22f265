#include "agents/scripted/waypoints.h"

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "envs/maze2d/maze2d.h"

namespace diffreward {
namespace {

constexpr int kPatience = 50;    // steps without progress before the path is planned anew
constexpr double kAtGoal = 0.1;  // cells; the goal counts as reached for new_goal

/// For every goal cell, the next cell of a shortest path from every cell. Built once per maze.
class Routes {
 public:
  explicit Routes(const MazeMap& map)
      : map_(map), next_(static_cast<std::size_t>(map.rows() * map.columns())) {}

  const MazeMap& map() const { return map_; }

  Cell next(Cell from, Cell goal) {
    std::vector<Cell>& table = next_[index(goal)];
    if (table.empty()) table = towards(goal);
    return table[index(from)];
  }

 private:
  std::size_t index(Cell cell) const { return static_cast<std::size_t>(cell[0] * map_.columns() + cell[1]); }

  std::vector<Cell> towards(Cell goal) const {
    const std::vector<int> distance = map_.cell_distances(goal);
    std::vector<Cell> table(distance.size(), goal);
    for (const Cell cell : map_.free_cells()) {
      table[index(cell)] = cell;  // where the goal cannot be reached, stay
      for (const auto& [dr, dc] : {std::pair{-1, 0}, {0, -1}, {0, 1}, {1, 0}}) {
        const Cell other{cell[0] + dr, cell[1] + dc};
        if (map_.free(other) && distance[index(other)] >= 0 && distance[index(other)] < distance[index(cell)])
          table[index(cell)] = other;
      }
    }
    return table;
  }

  MazeMap map_;
  std::vector<std::vector<Cell>> next_;  // [goal cell][cell]
};

/// One instance's walk: the waypoint it steers to and how long it has not come closer.
struct Walker {
  Maze2D* maze = nullptr;
  Rng rng;
  bool planned = false;
  Point goal{}, waypoint{};
  Cell cell{};  // of the waypoint
  double closest = 0;
  int stalled = 0;
};

class WaypointController {
 public:
  WaypointController(const WaypointConfig& config, Recording recording)
      : config_(config),
        streams_(streams_of(recording, config.seed, Purpose::kController)),
        moves_goal_(config.at_goal == "new_goal") {
    validate(config_);
  }

  void operator()(VectorEnv& envs, const StepView& view, std::span<double> actions, std::span<double> extra) {
    // A batch made where another one was destroyed has its address; but it has been reset.
    const auto begun = [](std::uint8_t reset) { return reset != 0; };
    if (envs_ != &envs || std::all_of(view.reset.begin(), view.reset.end(), begun)) meet(envs);
    for (std::size_t i = 0; i < walkers_.size(); ++i) {
      Walker& w = walkers_[i];
      const Point position{view.obs[4 * i], view.obs[4 * i + 1]},
          velocity{view.obs[4 * i + 2], view.obs[4 * i + 3]};
      bool switched = false;
      if (moves_goal_ && !view.reset[i] && distance(position, w.maze->goal()) < kAtGoal) {
        const auto& cells = w.maze->map().free_cells();
        w.maze->set_goal(MazeMap::point_of(cells[w.rng.below(cells.size())]));
        switched = true;
      }
      steer(w, position, view.reset[i] != 0);
      for (std::size_t axis = 0; axis < 2; ++axis) {
        double push = config_.gain * (w.waypoint[axis] - position[axis]) - config_.damping * velocity[axis];
        push = std::clamp(push, -1.0, 1.0);
        if (config_.action_noise > 0) push += config_.action_noise * w.rng.normal();
        actions[2 * i + axis] = std::clamp(push, -1.0, 1.0);
      }
      if (!extra.empty()) extra[i] = switched;
    }
  }

 private:
  static double distance(Point a, Point b) {
    return std::sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]));
  }

  /// Learns the instances' addresses and the map; walks of as many instances go on.
  void meet(VectorEnv& envs) {
    const auto n = static_cast<std::size_t>(envs.size());
    if (walkers_.size() != n) {
      walkers_.clear();
      for (std::size_t i = 0; i < n; ++i) walkers_.push_back({.rng = Rng(streams_[i])});
    }
    for (std::size_t i = 0; i < n; ++i) {
      Walker& w = walkers_[i];
      w.maze = dynamic_cast<Maze2D*>(&envs.env(static_cast<int>(i)));
      require(w.maze != nullptr, "waypoints: expected a maze environment, got ", envs.spec().id);
      if (i == 0 && (!routes_ || routes_->map().text() != w.maze->map().text()))
        routes_ = std::make_unique<Routes>(w.maze->map());
      require(w.maze->map().text() == routes_->map().text(), "waypoints: instance ", i,
              ": expected the map of instance 0, got another");
      w.planned = w.planned && envs_ == &envs;
    }
    envs_ = &envs;
  }

  /// Chooses the waypoint: kept until taken, then the next cell's; the goal itself in the goal's cell.
  void steer(Walker& w, Point position, bool first) {
    const MazeMap& map = w.maze->map();
    const Cell goal_cell = map.cell_at(w.maze->goal());
    if (first || !w.planned || w.goal != w.maze->goal() || w.stalled >= kPatience) {
      w.planned = true;
      w.goal = w.maze->goal();
      const Cell here = map.cell_at(position);
      aim(w, here == goal_cell ? goal_cell : routes_->next(here, goal_cell), goal_cell,
          w.stalled < kPatience);
    } else if (w.cell != goal_cell && distance(position, w.waypoint) < config_.reach) {
      aim(w, routes_->next(w.cell, goal_cell), goal_cell, true);
    }
    const double left = distance(position, w.waypoint);
    w.stalled = left < w.closest - 1e-3 || left < config_.reach ? 0 : w.stalled + 1;
    w.closest = std::min(w.closest, left);
  }

  void aim(Walker& w, Cell cell, Cell goal_cell, bool jitter) {
    w.cell = cell;
    w.waypoint = cell == goal_cell ? w.goal : MazeMap::point_of(cell);
    if (cell != goal_cell) {
      for (double& x : w.waypoint) x -= jitter ? w.rng.uniform(0, config_.waypoint_jitter) : 0.2;
    }
    w.closest = 1e9;
    w.stalled = 0;
  }

  WaypointConfig config_;
  Streams streams_;  // of the walkers
  bool moves_goal_;
  const VectorEnv* envs_ = nullptr;
  std::unique_ptr<Routes> routes_;
  std::vector<Walker> walkers_;
};

}  // namespace

PolicyFn waypoint_policy(const WaypointConfig& config, Recording recording) {
  // std::function copies; the controller is shared so that all copies continue one walk.
  auto controller = std::make_shared<WaypointController>(config, recording);
  return [controller](VectorEnv& envs, const StepView& view, std::span<double> actions,
                      std::span<double> extra) { (*controller)(envs, view, actions, extra); };
}

std::vector<InfoField> waypoint_extra_fields() {
  return {{"goal_switched", 1}};
}

}  // namespace diffreward
