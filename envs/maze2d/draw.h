// Pictures of mazes, drawn with OpenCV into memory; no display is needed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "envs/image.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {

/// The maze with goal and ball: Env::render's picture.
Image draw_maze(const MazeMap& map, Point ball, Point goal, int width, int height);

struct Trajectory {
  std::vector<Point> points;  // positions in time order, cells
  std::array<std::uint8_t, 3> rgb{31, 119, 180};
};

/// Trajectories over the maze: a dot at each start, lines that darken with time, the goal as a star.
Image draw_trajectories(const MazeMap& map, const std::vector<Trajectory>& trajectories,
                        std::optional<Point> goal, int width, int height);

/// A regular grid of positions over the maze's free cells, for heatmaps.
struct MazeGrid {
  int per_cell;               // samples per cell and axis
  std::vector<Point> points;  // [n] sample positions, all inside free cells, row-major within the grid
  std::vector<int> index;     // [n] position in the full [rows * per_cell, columns * per_cell] raster
};
MazeGrid maze_grid(const MazeMap& map, int per_cell);

struct HeatmapStyle {
  std::string title = {};
  double low = 0, high = 0;  // colour range; equal: winsorise 0.5 % at both tails, then min-max
  bool diverging = false;    // blue-white-red around 0 in place of a sequential colour scale
  bool color_bar = true;
  std::vector<Point> marks = {};  // small crosses, e.g. the heatmap's peak
};

/// `values` [grid.points.size()] over the maze, walls dark, the goal as a star. Not-a-number is left grey.
Image draw_heatmap(const MazeMap& map, const MazeGrid& grid, std::span<const double> values,
                   std::optional<Point> goal, const HeatmapStyle& style, int width, int height);

}  // namespace diffreward
