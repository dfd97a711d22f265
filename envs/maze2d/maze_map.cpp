#include "envs/maze2d/maze_map.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

constexpr int kMaxSide = 256;  // rows or columns; walls beyond that take MuJoCo a minute

struct NamedMap {
  std::string_view name, text;
};
constexpr NamedMap kNamedMaps[] = {
    {"open",
     "#######\n"
     "#OOOOO#\n"
     "#OOGOO#\n"
     "#OOOOO#\n"
     "#######\n"},
    {"umaze",
     "#####\n"
     "#GOO#\n"
     "###O#\n"
     "#OOO#\n"
     "#####\n"},
    {"medium",
     "########\n"
     "#OO##OO#\n"
     "#OO#OOO#\n"
     "##OOO###\n"
     "#OO#OOO#\n"
     "#O#OO#O#\n"
     "#OOO#OG#\n"
     "########\n"},
    {"large",
     "############\n"
     "#OOOO#OOOOO#\n"
     "#O##O#O#O#O#\n"
     "#OOOOOO#OOO#\n"
     "#O####O###O#\n"
     "#OO#O#OOOOO#\n"
     "##O#O#O#O###\n"
     "#OO#OOO#OGO#\n"
     "############\n"},
};

std::vector<std::string_view> split_lines(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // of editors that mark UTF-8
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\n\\"), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  const auto first = std::find_if(lines.begin(), lines.end(), [](auto line) { return !line.empty(); });
  lines.erase(lines.begin(), first);
  return lines;
}

/// A letter in quotes; any other byte as an escape, also where it begins a character of several bytes.
std::string quoted(char letter) {
  char text[8];
  const auto code = static_cast<unsigned char>(letter);
  std::snprintf(text, sizeof text, code >= 32 && code < 127 ? "'%c'" : "\\x%02x", code);
  return text;
}

std::string place(int row, int column) {
  return concat("maze map: row ", row, ", column ", column, ": ");
}

}  // namespace

MazeMap MazeMap::parse(const std::string& text) {
  const std::vector<std::string_view> lines = split_lines(text);
  require(!lines.empty(), "maze map: expected rows of letters, found an empty text");
  require(lines.size() <= kMaxSide && lines[0].size() <= kMaxSide, "maze map: expected at most ", kMaxSide,
          " rows and columns, found ", lines.size(), " x ", lines[0].size());
  MazeMap map;
  map.rows_ = int(lines.size());
  map.columns_ = int(lines[0].size());
  map.cells_.assign(lines.size() * lines[0].size(), '#');
  for (int r = 0; r < map.rows_; ++r) {
    const std::string_view line = lines[std::size_t(r)];
    require(line.size() == lines[0].size(), "maze map: row ", r, ": expected ", lines[0].size(),
            " columns as in row 0, found ", line.size());
    for (int c = 0; c < map.columns_; ++c) map.read_cell(r, c, line[std::size_t(c)]);
  }
  require(!map.free_cells_.empty(), "maze map: expected at least one free cell, found walls only");
  map.find_separate_parts();
  return map;
}

MazeMap MazeMap::load(const std::filesystem::path& path) {
  try {
    return parse(read_file(path));
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(concat(path.string(), ": ", error.what()));
  }
}

MazeMap MazeMap::named(const std::string& name) {
  std::vector<std::string> known;
  for (const NamedMap& map : kNamedMaps) {
    if (map.name == name) return parse(std::string(map.text));
    known.emplace_back(map.name);
  }
  throw InvalidArgument(unknown_name("maze", name, known));
}

bool MazeMap::free(Cell cell) const {
  const auto [r, c] = cell;
  return r >= 0 && r < rows_ && c >= 0 && c < columns_ && cells_[std::size_t(r * columns_ + c)] == 'O';
}

std::string MazeMap::text() const {
  std::string out;
  for (int r = 0; r < rows_; ++r) {
    for (int c = 0; c < columns_; ++c) {
      const Cell cell{r, c};
      out += cell == goal_ ? 'G' : cell == start_ ? 'S' : free(cell) ? 'O' : '#';
    }
    out += '\n';
  }
  return out;
}

Cell MazeMap::cell_at(Point position) const {
  const double row = std::floor(position[0] + 0.7), column = std::floor(position[1] + 0.7);
  // Written so that not-a-number and values beyond int fall outside too.
  if (!(row >= 0 && row < rows_ && column >= 0 && column < columns_)) return {-1, -1};
  return {int(row), int(column)};
}

bool MazeMap::clear(Point position, double radius) const {
  require(radius >= 0 && radius <= kMaxSide, "MazeMap::clear: expected a radius in [0, ", kMaxSide, "], got ",
          radius);
  const auto [row, column] = cell_at(position);
  if (!free({row, column})) return false;
  const int reach = int(std::ceil(radius));
  for (int r = row - reach; r <= row + reach; ++r)
    for (int c = column - reach; c <= column + reach; ++c) {
      if (free({r, c})) continue;
      const double dx = std::max({r - 0.7 - position[0], position[0] - (r + 0.3), 0.0});
      const double dy = std::max({c - 0.7 - position[1], position[1] - (c + 0.3), 0.0});
      if (dx * dx + dy * dy < radius * radius) return false;
    }
  return true;
}

std::vector<int> MazeMap::cell_distances(Cell target) const {
  std::vector<int> distance(cells_.size(), -1);
  if (!free(target)) return distance;
  std::vector<Cell> queue{target};
  distance[std::size_t(target[0] * columns_ + target[1])] = 0;
  for (std::size_t next = 0; next < queue.size(); ++next) {
    const auto [r, c] = queue[next];
    const int steps = distance[std::size_t(r * columns_ + c)] + 1;
    for (const Cell cell : {Cell{r - 1, c}, Cell{r, c - 1}, Cell{r, c + 1}, Cell{r + 1, c}}) {
      if (!free(cell) || distance[std::size_t(cell[0] * columns_ + cell[1])] >= 0) continue;
      distance[std::size_t(cell[0] * columns_ + cell[1])] = steps;
      queue.push_back(cell);
    }
  }
  return distance;
}

std::vector<Cell> MazeMap::path(Cell from, Cell to) const {
  if (!free(from) || !free(to)) return {};
  const std::vector<int> distance = cell_distances(to);
  const auto at = [&](Cell cell) { return distance[std::size_t(cell[0] * columns_ + cell[1])]; };
  if (at(from) < 0) return {};
  std::vector<Cell> cells{from};
  while (cells.back() != to) {
    const auto [r, c] = cells.back();
    for (const Cell cell : {Cell{r - 1, c}, Cell{r, c - 1}, Cell{r, c + 1}, Cell{r + 1, c}})
      if (free(cell) && at(cell) == at({r, c}) - 1) {
        cells.push_back(cell);
        break;
      }
  }
  return cells;
}

void MazeMap::read_cell(int r, int c, char letter) {
  const bool wall = letter == '#';
  require(wall || std::string_view("O. GS").find(letter) != std::string_view::npos, place(r, c),
          "expected '#' (wall), 'O', '.', ' ' (free), 'G' (goal) or 'S' (start), found ", quoted(letter));
  if (wall) return;
  require(r > 0 && c > 0 && r + 1 < rows_ && c + 1 < columns_, place(r, c),
          "expected a wall '#' on the border, found ", quoted(letter));
  const auto mark = [&](std::optional<Cell>& cell) {
    require(!cell, place(r, c), "expected at most one ", quoted(letter), ", found a second after row ",
            cell.value_or(Cell{})[0], ", column ", cell.value_or(Cell{})[1]);
    cell = {r, c};
  };
  if (letter == 'G') mark(goal_);
  if (letter == 'S') mark(start_);
  cells_[std::size_t(r * columns_ + c)] = 'O';
  free_cells_.push_back({r, c});
}

void MazeMap::find_separate_parts() {
  const std::vector<int> distance = cell_distances(free_cells_[0]);
  for (const Cell cell : free_cells_)
    if (distance[std::size_t(cell[0] * columns_ + cell[1])] < 0) {
      warnings_.push_back(concat("maze map: free cells (", free_cells_[0][0], ", ", free_cells_[0][1],
                                 ") and (", cell[0], ", ", cell[1], ") cannot reach each other"));
      return;
    }
}

}  // namespace diffreward
