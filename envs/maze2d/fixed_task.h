// What a caller may fix about a reset of a maze. Private to maze2d/.
#pragma once

#include <climits>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "envs/env.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {

struct FixedTask {
  std::optional<Cell> start_cell, goal_cell;  // (row, column)
  std::optional<Point> start, goal;           // position, as observed
};

/// The names of these, for EnvSpec::reset_options.
inline std::vector<InfoField> fixed_task_options() {
  return {{"start_cell", 2}, {"goal_cell", 2}, {"start", 2}, {"goal", 2}};
}

inline Cell checked_cell(const MazeMap& map, const std::string& id, const char* what, Cell cell) {
  require(map.free(cell), id, ": ", what, ": expected a free cell, got (", cell[0], ", ", cell[1],
          "), a wall or outside");
  return cell;
}

/// `cell`: the one that the point lies in.
inline Point checked_point(const MazeMap& map, const std::string& id, const char* what, Point point,
                           Cell cell) {
  require(map.free(cell), id, ": ", what, ": expected a position in a free cell, got (", point[0], ", ",
          point[1], ")");
  return point;
}

/// Reads options of the names above. `cell_at` gives the cell of a position. Throws InvalidArgument for walls
/// and for a position and a cell of one thing.
template <class CellAt>
FixedTask fixed_task(const MazeMap& map, const std::string& id, const ResetOptions& options,
                     const CellAt& cell_at) {
  FixedTask task;
  const auto read_cell = [&](const char* name) -> std::optional<Cell> {
    const std::span<const double> values = options.values(name);
    if (values.empty()) return std::nullopt;
    const auto whole = [](double value) { return value == std::floor(value) && std::abs(value) <= INT_MAX; };
    require(whole(values[0]) && whole(values[1]), id, ": ", name, ": expected a row and a column, got (",
            values[0], ", ", values[1], ")");
    return checked_cell(map, id, name, {int(values[0]), int(values[1])});
  };
  const auto read_point = [&](const char* name) -> std::optional<Point> {
    const std::span<const double> values = options.values(name);
    if (values.empty()) return std::nullopt;
    const Point point{values[0], values[1]};
    return checked_point(map, id, name, point, cell_at(point));
  };
  task.start_cell = read_cell("start_cell");
  task.goal_cell = read_cell("goal_cell");
  task.start = read_point("start");
  task.goal = read_point("goal");
  require(!(task.start && task.start_cell) && !(task.goal && task.goal_cell), id,
          ": reset: expected a position or a cell, got both");
  return task;
}

}  // namespace diffreward
