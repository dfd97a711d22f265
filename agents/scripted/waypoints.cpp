#include "agents/scripted/waypoints.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "agents/instance_noise.h"
#include "envs/maze2d/maze2d.h"

namespace diffreward {
namespace {

constexpr int kPatience = 50;  // steps without progress before the path is planned anew

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
  Point goal{}, waypoint{};
  Cell cell{};  // of the waypoint
  double closest = 0;
  int stalled = 0;
  bool planned = false;
};

class WaypointAgent final : public Agent {
 public:
  WaypointAgent(const WaypointConfig& config, VectorEnv& env, const Streams& streams)
      : config_(config),
        noise_(streams, env.size()),
        routes_(map_of(env)),
        goal_at_(env.spec().info_offset("goal").value()),
        info_size_(env.spec().info_size()) {
    validate(config_);
    walkers_.resize(static_cast<std::size_t>(env.size()));
  }

  void act(const StepView& view, std::span<double> actions) override {
    require(view.obs.size() == 4 * walkers_.size() && view.info.size() == info_size_ * walkers_.size() &&
                actions.size() == 2 * walkers_.size(),
            "waypoints: expected what ", walkers_.size(), " instances show, and actions [", walkers_.size(),
            ", 2]");
    noise_.begin(view);
    for (std::size_t i = 0; i < walkers_.size(); ++i) {
      Walker& w = walkers_[i];
      const Point position{view.obs[4 * i], view.obs[4 * i + 1]},
          velocity{view.obs[4 * i + 2], view.obs[4 * i + 3]};
      const double* goal = view.info.data() + i * info_size_ + goal_at_;
      steer(w, noise_[i], position, {goal[0], goal[1]}, begins(view, i));
      for (std::size_t axis = 0; axis < 2; ++axis) {
        double push = config_.gain * (w.waypoint[axis] - position[axis]) - config_.damping * velocity[axis];
        push = std::clamp(push, -1.0, 1.0);
        if (config_.action_noise > 0) push += config_.action_noise * noise_[i].normal();
        actions[2 * i + axis] = std::clamp(push, -1.0, 1.0);
      }
    }
  }

  void number_episodes(std::span<const std::uint64_t> numbers) override { noise_.number_episodes(numbers); }

 private:
  static double distance(Point a, Point b) {
    return std::sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]));
  }

  /// The one map of all instances.
  static const MazeMap& map_of(VectorEnv& env) {
    const MazeMap* map = nullptr;
    for (int i = 0; i < env.size(); ++i) {
      const auto* maze = dynamic_cast<const Maze2D*>(&env.env(i));
      require(maze != nullptr, "waypoints: expected a maze environment, got ", env.spec().id);
      if (map == nullptr) map = &maze->map();
      require(maze->map().text() == map->text(), "waypoints: instance ", i,
              ": expected the map of instance 0, got another");
    }
    return *map;
  }

  /// Chooses the waypoint: kept until taken, then the next cell's; the goal itself in the goal's cell.
  void steer(Walker& w, Rng& rng, Point position, Point goal, bool first) {
    const MazeMap& map = routes_.map();
    const Cell goal_cell = map.cell_at(goal);
    if (first || !w.planned || w.goal != goal || w.stalled >= kPatience) {
      w.planned = true;
      w.goal = goal;
      const Cell here = map.cell_at(position);
      aim(w, rng, here == goal_cell ? goal_cell : routes_.next(here, goal_cell), goal_cell,
          w.stalled < kPatience);
    } else if (w.cell != goal_cell && distance(position, w.waypoint) < config_.reach) {
      aim(w, rng, routes_.next(w.cell, goal_cell), goal_cell, true);
    }
    const double left = distance(position, w.waypoint);
    w.stalled = left < w.closest - 1e-3 || left < config_.reach ? 0 : w.stalled + 1;
    w.closest = std::min(w.closest, left);
  }

  void aim(Walker& w, Rng& rng, Cell cell, Cell goal_cell, bool jitter) {
    w.cell = cell;
    w.waypoint = cell == goal_cell ? w.goal : MazeMap::point_of(cell);
    if (cell != goal_cell) {
      for (double& x : w.waypoint) x -= jitter ? rng.uniform(0, config_.waypoint_jitter) : 0.2;
    }
    w.closest = 1e9;
    w.stalled = 0;
  }

  const WaypointConfig config_;
  InstanceNoise noise_;
  Routes routes_;
  std::size_t goal_at_, info_size_;  // in an instance's infos
  std::vector<Walker> walkers_;
};

}  // namespace

std::unique_ptr<Agent> make_agent(const WaypointConfig& config, VectorEnv& env, const Streams& streams) {
  return std::make_unique<WaypointAgent>(config, env, streams);
}

}  // namespace diffreward
