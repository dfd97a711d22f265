#include "envs/maze2d/maze_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>
#include <queue>

#include "core/error.h"
#include "core/rng.h"

namespace diffreward {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(const std::string& text) {
  try {
    MazeMap::parse(text);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(MazeMap, NamedMapsAreD4rls) {
  const struct {
    const char* name;
    int rows, columns;
    std::size_t free;
    Cell goal;
  } expected[] = {{"open", 5, 7, 15, {2, 3}},
                  {"umaze", 5, 5, 7, {1, 1}},
                  {"medium", 8, 8, 26, {6, 6}},
                  {"large", 9, 12, 46, {7, 9}}};
  for (const auto& e : expected) {
    const MazeMap map = MazeMap::named(e.name);
    EXPECT_EQ(map.rows(), e.rows) << e.name;
    EXPECT_EQ(map.columns(), e.columns) << e.name;
    EXPECT_EQ(map.free_cells().size(), e.free) << e.name;
    EXPECT_EQ(map.goal(), e.goal) << e.name;
    EXPECT_TRUE(map.warnings().empty()) << e.name;
  }
}

TEST(MazeMap, UnknownNameSuggestsTheNearest) {
  try {
    MazeMap::named("umase");
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'umaze'"));
  }
}

TEST(MazeMap, AllFreeLettersAndSeparatorsMeanTheSame) {
  const std::string canonical = "#####\n#GOO#\n#OSO#\n#####\n";
  for (const char* text :
       {"#####\n#GOO#\n#OSO#\n#####", "#####\\#G. #\\#.S #\\#####",
        "\n\n#####\r\n#GOO#\r\n# S.#\r\n#####\r\n\n", "\xef\xbb\xbf#####\n#GOO#\n#OSO#\n#####\n"}) {
    const MazeMap map = MazeMap::parse(text);
    EXPECT_EQ(map.text(), canonical);
    EXPECT_EQ(map.goal(), (Cell{1, 1}));
    EXPECT_EQ(map.start(), (Cell{2, 2}));
  }
  EXPECT_EQ(MazeMap::parse(canonical).text(), canonical);
}

TEST(MazeMap, MalformedTextIsRefusedWithPlaceAndReason) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("\n\r\n\n"), HasSubstr("empty"));
  EXPECT_THAT(refusal("####\n#O#\n####"),
              AllOf(HasSubstr("row 1"), HasSubstr("expected 4"), HasSubstr("found 3")));
  EXPECT_THAT(refusal("####\n\n####"), AllOf(HasSubstr("row 1"), HasSubstr("found 0")));
  EXPECT_THAT(refusal("###\n#x#\n###"), AllOf(HasSubstr("row 1, column 1"), HasSubstr("'x'")));
  EXPECT_THAT(refusal(std::string("###\n#\0#\n###", 11)), HasSubstr("\\x00"));
  EXPECT_THAT(refusal("###\n#\xc3#\n###"), HasSubstr("\\xc3"));
  EXPECT_THAT(refusal("#O#\n#O#\n###"), AllOf(HasSubstr("row 0, column 1"), HasSubstr("border")));
  EXPECT_THAT(refusal("###\n#O#\n#G#"), AllOf(HasSubstr("row 2, column 1"), HasSubstr("border")));
  EXPECT_THAT(refusal("###\nOO#\n###"), AllOf(HasSubstr("row 1, column 0"), HasSubstr("border")));
  EXPECT_THAT(refusal("###\n#OO\n###"), AllOf(HasSubstr("row 1, column 2"), HasSubstr("border")));
  EXPECT_THAT(refusal("###\n###\n###"), HasSubstr("free cell"));
  EXPECT_THAT(refusal("####\n#GG#\n####"), AllOf(HasSubstr("row 1, column 2"), HasSubstr("at most one 'G'")));
  EXPECT_THAT(refusal("####\n#SS#\n####"), HasSubstr("at most one 'S'"));
  EXPECT_THAT(refusal(std::string(5000, '#')), HasSubstr("at most 256"));
}

TEST(MazeMap, SeparatePartsAreAWarning) {
  const MazeMap map = MazeMap::parse("#####\n#O#O#\n#####");
  ASSERT_EQ(map.warnings().size(), 1u);
  EXPECT_THAT(map.warnings()[0], AllOf(HasSubstr("(1, 1)"), HasSubstr("(1, 3)")));
  // Cells that meet at a corner only are separate too.
  EXPECT_EQ(MazeMap::parse("####\n#O##\n##O#\n####").warnings().size(), 1u);
}

TEST(MazeMap, LoadNamesTheFile) {
  const std::string path = testing::TempDir() + "broken.maze";
  std::ofstream(path) << "###\n#?#\n###\n";
  try {
    MazeMap::load(path);
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(path), HasSubstr("'?'")));
  }
  std::ofstream(path) << "###\n#G#\n###\n";
  EXPECT_EQ(MazeMap::load(path).goal(), (Cell{1, 1}));
  EXPECT_THROW(MazeMap::load(path + ".none"), Error);
}

TEST(MazeMap, PositionsFollowD4rlsConvention) {
  const MazeMap map = MazeMap::named("umaze");
  EXPECT_EQ(map.cell_at(MazeMap::point_of({1, 2})), (Cell{1, 2}));
  EXPECT_EQ(map.cell_at({0.31, 1.29}), (Cell{1, 1}));
  EXPECT_EQ(map.cell_at({0.29, 1.31}), (Cell{0, 2}));
  EXPECT_EQ(map.cell_at({-0.71, 1}), (Cell{-1, -1}));
  EXPECT_EQ(map.cell_at({std::nan(""), 1}), (Cell{-1, -1}));
  EXPECT_EQ(map.cell_at({1e300, 1}), (Cell{-1, -1}));
  EXPECT_TRUE(map.clear({1, 1}, 0.299));
  EXPECT_FALSE(map.clear({1, 1}, 0.301));  // the wall below begins at row 1.3
  EXPECT_FALSE(map.clear({2, 1}));
  // The wall's corner at (1.3, 2.3) is met diagonally.
  EXPECT_TRUE(map.clear({1.3 - 0.08, 2.3 + 0.08}, 0.113));
  EXPECT_FALSE(map.clear({1.3 - 0.08, 2.3 + 0.08}, 0.114));
}

TEST(MazeMap, PathsAreShortestWalks) {
  for (const char* name : {"open", "umaze", "medium", "large"}) {
    const MazeMap map = MazeMap::named(name);
    for (const Cell to : map.free_cells()) {
      const std::vector<int> distance = map.cell_distances(to);
      for (const Cell from : map.free_cells()) {
        const std::vector<Cell> path = map.path(from, to);
        ASSERT_EQ(int(path.size()) - 1, distance[std::size_t(from[0] * map.columns() + from[1])]);
        EXPECT_EQ(path.front(), from);
        EXPECT_EQ(path.back(), to);
        for (std::size_t i = 1; i < path.size(); ++i) {
          EXPECT_TRUE(map.free(path[i]));
          EXPECT_EQ(std::abs(path[i][0] - path[i - 1][0]) + std::abs(path[i][1] - path[i - 1][1]), 1);
        }
      }
    }
  }
  const MazeMap split = MazeMap::parse("#####\n#O#O#\n#####");
  EXPECT_TRUE(split.path({1, 1}, {1, 3}).empty());
  EXPECT_TRUE(split.path({1, 1}, {0, 0}).empty());
  EXPECT_EQ(MazeMap::named("umaze").path({1, 1}, {3, 1}).size(), 7u);
}

TEST(MazeMap, PathLengthIsStraightWhereNothingIsBetween) {
  const MazeMap map = MazeMap::named("open");
  EXPECT_DOUBLE_EQ(map.path_length({1, 1}, {3, 5}), std::hypot(2, 4));
  EXPECT_DOUBLE_EQ(map.path_length({1, 1}, {1, 1}, 0.1), 0);
}

// Around the inner wall of the U, whose corners lie at (1.3, 2.3) and (2.3, 2.3).
TEST(MazeMap, PathLengthAroundCornersHasItsClosedForm) {
  const MazeMap map = MazeMap::named("umaze");
  const Point from{1, 1}, to{3, 1};
  EXPECT_NEAR(map.path_length(from, to), 1 + std::hypot(0.3, 1.3) + std::hypot(0.7, 1.3), 1e-5);
  for (const double r : {0.05, 0.1, 0.2}) {
    // A straight piece that touches the disc around the corner, then the arc up to the corner's far side.
    const auto leg = [&](double rows_away) {
      const double d = std::hypot(rows_away, 1.3);
      return std::sqrt(d * d - r * r) +
             r * (std::numbers::pi / 2 - std::atan2(rows_away, 1.3) + std::asin(r / d));
    };
    EXPECT_NEAR(map.path_length(from, to, r), leg(0.3) + 1 + leg(0.7), 1e-9) << r;
  }
}

TEST(MazeMap, PathLengthIsInfiniteWhereTheBallCannotBe) {
  const MazeMap map = MazeMap::named("umaze");
  EXPECT_EQ(map.path_length({2, 1}, {1, 1}), INFINITY);
  EXPECT_EQ(map.path_length({1, 1}, {2, 1}), INFINITY);
  EXPECT_EQ(map.path_length({1.25, 1}, {1, 1}, 0.1), INFINITY);  // it would overlap the wall
  EXPECT_EQ(MazeMap::parse("#####\n#O#O#\n#####").path_length({1, 1}, {1, 3}), INFINITY);
  EXPECT_EQ(MazeMap::parse("####\n#O##\n##O#\n####").path_length({1, 1}, {2, 2}), INFINITY);
  EXPECT_THROW(map.path_length({1, 1}, {1, 2}, 0.5), InvalidArgument);
  EXPECT_THROW(map.path_length({1, 1}, {1, 2}, -1), InvalidArgument);
}

// No line of sight runs along the seam between two wall cells.
TEST(MazeMap, PathLengthDoesNotLeakThroughSeams) {
  const MazeMap map = MazeMap::parse("######\n#OOOO#\n#O##O#\n#O##O#\n#OOOO#\n######");
  // Around the block whose corners lie at (1.3, 1.3) and (3.3, 3.3).
  EXPECT_NEAR(map.path_length({2.3, 1.2}, {2.3, 3.4}), std::hypot(1, 0.1) * 2 + 2, 1e-5);
}

/// Shortest walk over a fine lattice with moves of up to four lattice steps per axis: an upper bound that is
/// at most about 3 % too long.
std::vector<double> lattice_lengths(const MazeMap& map, Point to, double radius, int per_cell) {
  const int rows = map.rows() * per_cell, columns = map.columns() * per_cell;
  const double h = 1.0 / per_cell;
  std::vector<double> length(std::size_t(rows * columns), INFINITY);
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  const int start = int(std::lround((to[0] + 0.7) / h)) * columns + int(std::lround((to[1] + 0.7) / h));
  length[std::size_t(start)] = 0;
  queue.emplace(0, start);
  while (!queue.empty()) {
    const auto [l, k] = queue.top();
    queue.pop();
    if (l > length[std::size_t(k)]) continue;
    for (int di = -4; di <= 4; ++di)
      for (int dj = -4; dj <= 4; ++dj) {
        const int i = k / columns + di, j = k % columns + dj;
        if (i < 0 || j < 0 || i >= rows || j >= columns) continue;
        const double next = l + h * std::hypot(di, dj);
        if (next >= length[std::size_t(i * columns + j)]) continue;
        bool clear = true;
        for (int s = 0; s <= 8 && clear; ++s)
          clear = map.clear({(k / columns + di * s / 8.0) * h - 0.7, (k % columns + dj * s / 8.0) * h - 0.7},
                            radius);
        if (!clear) continue;
        length[std::size_t(i * columns + j)] = next;
        queue.emplace(next, i * columns + j);
      }
  }
  return length;
}

TEST(MazeMap, PathLengthAgreesWithALatticeSearch) {
  constexpr int kPerCell = 10;
  for (const char* name : {"medium", "large"}) {
    const MazeMap map = MazeMap::named(name);
    const Point to = MazeMap::point_of(*map.goal());
    const double radius = 0.0999;
    const std::vector<double> lattice = lattice_lengths(map, to, radius, kPerCell);
    std::vector<Point> from;
    std::vector<double> expected;
    for (std::size_t k = 0; k < lattice.size(); k += 7) {
      const Point p{double(k / std::size_t(map.columns() * kPerCell)) / kPerCell - 0.7,
                    double(k % std::size_t(map.columns() * kPerCell)) / kPerCell - 0.7};
      if (!std::isfinite(lattice[k])) continue;
      from.push_back(p);
      expected.push_back(lattice[k]);
    }
    ASSERT_GT(from.size(), 100u);
    const std::vector<double> lengths = map.path_lengths(from, to, radius);
    for (std::size_t i = 0; i < from.size(); ++i) {
      EXPECT_LE(lengths[i], expected[i] + 1e-6) << name << " " << from[i][0] << " " << from[i][1];
      EXPECT_GE(lengths[i], expected[i] / 1.04 - 0.1) << name << " " << from[i][0] << " " << from[i][1];
    }
  }
}

TEST(MazeMap, PathLengthIsAMetric) {
  const MazeMap map = MazeMap::named("large");
  Rng rng(5);
  const auto draw = [&] {
    for (;;) {
      const Point p{rng.uniform(0, map.rows()), rng.uniform(0, map.columns())};
      if (map.clear(p, 0.1)) return p;
    }
  };
  for (int i = 0; i < 60; ++i) {
    const Point a = draw(), b = draw(), c = draw();
    const double ab = map.path_length(a, b, 0.1);
    EXPECT_NEAR(ab, map.path_length(b, a, 0.1), 1e-9);
    EXPECT_GE(ab, std::hypot(a[0] - b[0], a[1] - b[1]) - 1e-9);
    EXPECT_LE(ab, map.path_length(a, c, 0.1) + map.path_length(c, b, 0.1) + 1e-9);
    EXPECT_GE(ab, map.path_length(a, b, 0) - 1e-6);
    EXPECT_EQ(map.path_lengths(std::vector<Point>{a, c}, b, 0.1)[0], ab);
  }
}

}  // namespace
}  // namespace diffreward
