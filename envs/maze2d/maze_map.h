// A maze as text: '#' wall, 'O' or '.' or ' ' free, 'G' free and the default goal, 'S' free and the default
// start.
//
//   #####        Rows go down, columns right; cell (row, column), first coordinate is the row.
//   #GOO#        Positions are D4RL's qpos: (row, column) is where D4RL puts starts and goals of that cell.
//   It lies
//   ###O#        0.2 off the middle: cell (r, c) covers [r - 0.7, r + 0.3) x [c - 0.7, c + 0.3), in cells =
//   metres. #OOO#        Both physics engines share this convention.
//   #####
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace diffreward {

using Cell = std::array<int, 2>;      // (row, column)
using Point = std::array<double, 2>;  // position, cells

class MazeMap {
 public:
  /// Parses and checks a map: rectangular, closed by walls, at least one free cell, known letters, at most
  /// one G and S, at most 256 rows and columns. Throws InvalidArgument naming row, column, expected and
  /// found. Lines are separated by newlines or by '\\' (D4RL's way); empty lines before and after the map are
  /// skipped.
  static MazeMap parse(const std::string& text);
  /// A file holding a map. Throws Error or InvalidArgument naming the file.
  static MazeMap load(const std::filesystem::path& path);
  /// "open", "umaze", "medium" or "large" (D4RL's maps).
  static MazeMap named(const std::string& name);

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  bool free(Cell cell) const;
  const std::vector<Cell>& free_cells() const { return free_cells_; }
  std::optional<Cell> goal() const { return goal_; }
  std::optional<Cell> start() const { return start_; }
  /// Canonical text: one row a line, '#', 'O', 'G', 'S'.
  std::string text() const;
  /// What is legal but probably unintended, such as free cells that cannot reach each other; empty when
  /// nothing is.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// The cell a position lies in (may be a wall or outside).
  Cell cell_at(Point position) const;
  /// Where D4RL puts starts and goals of a cell: (row, column).
  static Point point_of(Cell cell) { return {double(cell[0]), double(cell[1])}; }
  /// The geometric middle of a cell: (row - 0.2, column - 0.2).
  static Point middle_of(Cell cell) { return {cell[0] - 0.2, cell[1] - 0.2}; }
  /// Whether a ball of this radius at `position` touches no wall.
  bool clear(Point position, double radius = 0) const;

  /// Steps from each cell to `target` by 4-neighbour moves: [rows * columns], -1 where unreachable.
  std::vector<int> cell_distances(Cell target) const;
  /// Shortest path, both ends included; empty when there is none.
  std::vector<Cell> path(Cell from, Cell to) const;
  /// Length of the shortest curve along which a ball of `radius` (below 0.5 cells) overlaps no wall, cells;
  /// +infinity when there is none. Exact to about 1e-6: straight pieces and arcs around wall corners
  /// (maze_path.cpp).
  double path_length(Point from, Point to, double radius = 0) const;
  /// The same from many positions to one; the graph is built once, so this is the way to ask for a whole
  /// grid.
  std::vector<double> path_lengths(std::span<const Point> from, Point to, double radius = 0) const;

 private:
  void read_cell(int row, int column, char letter);
  void find_separate_parts();

  int rows_ = 0, columns_ = 0;
  std::vector<char> cells_;  // [rows, columns], '#' or 'O'
  std::vector<Cell> free_cells_;
  std::optional<Cell> goal_, start_;
  std::vector<std::string> warnings_;
};

}  // namespace diffreward
