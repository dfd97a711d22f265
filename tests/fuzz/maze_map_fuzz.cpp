// MazeMap::parse on any bytes: refuses with InvalidArgument, or gives a map that keeps its promises.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "envs/maze2d/maze_map.h"

using namespace diffreward;

namespace {

void check(bool promise) {
  if (!promise) std::abort();
}

void check_map(const MazeMap& map) {
  check(!map.free_cells().empty());
  for (int r = 0; r < map.rows(); ++r) check(!map.free({r, 0}) && !map.free({r, map.columns() - 1}));
  for (int c = 0; c < map.columns(); ++c) check(!map.free({0, c}) && !map.free({map.rows() - 1, c}));
  check(!map.goal() || map.free(*map.goal()));
  check(!map.start() || map.free(*map.start()));

  const MazeMap again = MazeMap::parse(map.text());
  check(again.text() == map.text() && again.free_cells() == map.free_cells());
  check(again.goal() == map.goal() && again.start() == map.start() && again.warnings() == map.warnings());

  const Cell from = map.free_cells().front(), to = map.free_cells().back();
  const std::vector<Cell> path = map.path(from, to);
  check(!path.empty() || !map.warnings().empty());
  if (map.free_cells().size() > 60) return;  // keeps the run fast
  for (const double radius : {0.0, 0.1}) {
    const double length = map.path_length(MazeMap::point_of(from), MazeMap::point_of(to), radius);
    check(std::isfinite(length) == !path.empty());
    // Cutting corners makes it shorter than the walk over cells; nothing is shorter than a straight line.
    if (!path.empty()) check(length <= double(path.size() - 1) + 1e-5);
    check(length >= std::hypot(from[0] - to[0], from[1] - to[1]) - 1e-9);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    check_map(MazeMap::parse(std::string(reinterpret_cast<const char*>(data), size)));
  } catch (const InvalidArgument& error) {
    check(std::string(error.what()).find('\n') == std::string::npos);  // one line
  }
  return 0;
}
