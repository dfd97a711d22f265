// envs/image.h and envs/maze2d/draw.h: sizes, places and colours; what is pleasant is judged by eye.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>

#include "core/error.h"
#include "core/file.h"
#include "envs/maze2d/draw.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using Rgb = std::array<std::uint8_t, 3>;

Rgb pixel(const Image& image, int x, int y) {
  const std::size_t k = (std::size_t(y) * std::size_t(image.width) + std::size_t(x)) * 3;
  return {image.rgb[k], image.rgb[k + 1], image.rgb[k + 2]};
}

std::size_t count(const Image& image, Rgb colour) {
  std::size_t n = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) n += pixel(image, x, y) == colour;
  return n;
}

/// Mean column and row of the pixels of a colour, as fractions of the picture.
std::array<double, 2> centre(const Image& image, Rgb colour) {
  double sx = 0, sy = 0, n = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (pixel(image, x, y) == colour) {
        sx += x;
        sy += y;
        ++n;
      }
  return {sx / n / image.width, sy / n / image.height};
}

Image plain(int width, int height, Rgb colour) {
  Image image{width, height, {}};
  for (int i = 0; i < width * height; ++i) image.rgb.insert(image.rgb.end(), colour.begin(), colour.end());
  return image;
}

constexpr Rgb kRed{214, 39, 40}, kBlue{31, 119, 180}, kUnknown{200, 200, 200};

TEST(Image, PngRoundTripsByteForByte) {
  Image image = plain(7, 5, {10, 20, 30});
  image.rgb[3] = 255;
  const std::vector<std::uint8_t> bytes = encode_png(image);
  const cv::Mat read = cv::imdecode(bytes, cv::IMREAD_COLOR);
  ASSERT_EQ(read.cols, 7);
  ASSERT_EQ(read.rows, 5);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 7; ++x) {
      const auto bgr = read.at<cv::Vec3b>(y, x);
      EXPECT_EQ((Rgb{bgr[2], bgr[1], bgr[0]}), pixel(image, x, y));
    }
  const std::filesystem::path path = testing::TempDir() + "picture/round.png";
  write_png(path, image);
  EXPECT_EQ(read_file(path), std::string(bytes.begin(), bytes.end()));
}

TEST(Image, WrongSizesAndPathsAreRefused) {
  Image image = plain(4, 4, {0, 0, 0});
  EXPECT_THROW(write_png("/proc/none/picture.png", image), Error);
  image.rgb.pop_back();
  EXPECT_THROW(encode_png(image), InvalidArgument);
  EXPECT_THROW(encode_png({}), InvalidArgument);
}

TEST(Image, DamagedPicturesAreNamedAndNothingElseIsPrinted) {
  const TemporaryFolder folder;
  Image image = plain(64, 48, kRed);
  for (std::size_t i = 0; i < image.rgb.size(); i += 7) image.rgb[i] = std::uint8_t(i);
  write_png(folder / "good.png", image);
  const std::string good = read_file(folder / "good.png");
  const Image again = read_png(folder / "good.png");
  EXPECT_EQ(again.width, image.width);
  EXPECT_EQ(again.rgb, image.rgb);
  testing::internal::CaptureStderr();
  for (std::size_t size = 0; size < good.size() - 12; size += 97) {  // the last chunk is empty
    write_bytes(folder / "bad.png", good.substr(0, size));
    EXPECT_THAT(message_of<Error>([&] { read_png(folder / "bad.png"); }),
                testing::HasSubstr("bad.png: expected a PNG picture, found"));
  }
  for (std::size_t at = 8; at < good.size(); at += 5) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ 0x55);
    write_bytes(folder / "bad.png", bad);
    try {
      read_png(folder / "bad.png");
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("bad.png: expected a PNG picture, found"));
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Image, BesideKeepsEachPictureAndAGap) {
  const Image out = beside({plain(3, 2, {1, 2, 3}), plain(2, 2, {4, 5, 6})}, 4);
  EXPECT_EQ(out.width, 9);
  EXPECT_EQ(out.height, 2);
  for (int y = 0; y < 2; ++y)
    for (int x = 0; x < 9; ++x)
      EXPECT_EQ(pixel(out, x, y), x < 3 ? (Rgb{1, 2, 3}) : x < 7 ? (Rgb{255, 255, 255}) : (Rgb{4, 5, 6}));
  EXPECT_THROW(beside({plain(3, 2, {}), plain(3, 3, {})}), InvalidArgument);
  EXPECT_THROW(beside({}), InvalidArgument);
}

TEST(Draw, MazeShowsBallAndGoalWhereTheyAre) {
  const MazeMap map = MazeMap::named("umaze");
  // The picture spans the free cells and a fifth of a cell around them.
  const auto place = [](Point p) { return std::array{(p[1] - 0.1) / 3.4, (p[0] - 0.1) / 3.4}; };
  for (const Point ball : {Point{1, 2}, Point{3, 3}}) {
    const Image image = draw_maze(map, ball, {1, 1}, 400, 400);
    const auto seen = centre(image, kBlue), goal = centre(image, kRed);
    for (std::size_t k = 0; k < 2; ++k) {
      EXPECT_NEAR(seen[k], place(ball)[k], 0.01);
      EXPECT_NEAR(goal[k], place({1, 1})[k], 0.01);
    }
  }
}

TEST(Draw, TrajectoriesDarkenWithTime) {
  const MazeMap map = MazeMap::named("open");
  Trajectory line;
  for (int i = 0; i <= 100; ++i) line.points.push_back({2, 1 + 0.04 * i});
  const Image image = draw_trajectories(map, {line}, std::nullopt, 540, 340);
  const auto brightness = [&](int x) {
    int least = 765;
    for (int y = 0; y < image.height; ++y) {
      const Rgb p = pixel(image, x, y);
      if (pixel(image, x, y) != (Rgb{62, 68, 81})) least = std::min(least, p[0] + p[1] + p[2]);
    }
    return least;
  };
  EXPECT_GT(brightness(150), brightness(300));
  EXPECT_GT(brightness(300), brightness(470));
  EXPECT_EQ(count(image, kRed), 0u);
  EXPECT_NO_THROW(
      draw_trajectories(map, {Trajectory{}, Trajectory{{{1, 1}}, {0, 0, 0}}}, Point{1, 1}, 100, 100));
}

TEST(Draw, GridCoversExactlyTheFreeCells) {
  const MazeMap map = MazeMap::named("medium");
  const MazeGrid grid = maze_grid(map, 5);
  EXPECT_EQ(grid.points.size(), map.free_cells().size() * 25);
  ASSERT_EQ(grid.index.size(), grid.points.size());
  for (std::size_t k = 0; k < grid.points.size(); ++k) {
    ASSERT_TRUE(map.clear(grid.points[k]));
    const int i = grid.index[k] / (map.columns() * 5), j = grid.index[k] % (map.columns() * 5);
    ASSERT_EQ(map.cell_at(grid.points[k]), (Cell{i / 5, j / 5}));
    ASSERT_TRUE(k == 0 || grid.index[k] > grid.index[k - 1]);
  }
  EXPECT_THROW(maze_grid(map, 0), InvalidArgument);
}

TEST(Draw, HeatmapWinsorisesHalfAPercent) {
  const MazeMap map = MazeMap::named("open");
  const MazeGrid grid = maze_grid(map, 20);
  std::vector<double> values(grid.points.size());
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = grid.points[k][1];
  const HeatmapStyle style{.title = "", .color_bar = false};
  const Image image = draw_heatmap(map, grid, values, std::nullopt, style, 540, 340);
  // A few wild values do not move the scale ...
  std::vector<double> wild = values;
  wild[10] = 1e9;
  wild[11] = -1e9;
  const Image robust = draw_heatmap(map, grid, wild, std::nullopt, style, 540, 340);
  EXPECT_EQ(pixel(robust, 270, 170), pixel(image, 270, 170));
  // ... more than half a percent do.
  for (std::size_t k = 0; k < wild.size() / 50; ++k) wild[k] = 1e9;
  EXPECT_NE(pixel(draw_heatmap(map, grid, wild, std::nullopt, style, 540, 340), 270, 170),
            pixel(image, 270, 170));
  // Dark violet at the low end, yellow at the high end.
  EXPECT_LT(pixel(image, 25, 170)[1], 40);
  EXPECT_GT(pixel(image, 515, 170)[0], 240);
  // A range given in the style wins.
  HeatmapStyle wide = style;
  wide.low = -100;
  wide.high = 100;
  const Rgb middle = pixel(draw_heatmap(map, grid, values, std::nullopt, wide, 540, 340), 25, 170);
  EXPECT_NEAR(middle[1], 147, 12);
}

TEST(Draw, HeatmapShowsUnknownValuesGreyGoalMarksTitleAndBar) {
  const MazeMap map = MazeMap::named("open");
  const MazeGrid grid = maze_grid(map, 10);
  std::vector<double> values(grid.points.size(), 1.0);
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = grid.points[k][0];
  const Image plain_map = draw_heatmap(map, grid, values, std::nullopt, {}, 480, 320);
  EXPECT_EQ(count(plain_map, kUnknown), 0u);
  EXPECT_EQ(count(plain_map, kRed), 0u);
  for (std::size_t k = 0; k < values.size(); ++k)
    if (map.cell_at(grid.points[k]) == Cell{1, 1}) values[k] = std::nan("");
  const Image image =
      draw_heatmap(map, grid, values, Point{2, 3}, {.title = "rho at t = 0", .marks = {{3, 5}}}, 480, 320);
  const double cell = 480 / 5.4 * 0.8;
  EXPECT_GT(double(count(image, kUnknown)), 0.6 * cell * cell);
  EXPECT_GT(count(image, kRed), 100u);
  EXPECT_GT(count(image, {38, 42, 51}), 50u);  // letters, ticks and the cross
  std::vector<double> all_unknown(values.size(), std::nan(""));
  EXPECT_NO_THROW(draw_heatmap(map, grid, all_unknown, std::nullopt, {}, 480, 320));
  std::vector<double> constant(values.size(), 3.0);
  EXPECT_NO_THROW(draw_heatmap(map, grid, constant, std::nullopt, {.diverging = true}, 64, 64));
  EXPECT_NO_THROW(draw_heatmap(map, grid, constant, std::nullopt, {}, 16, 16));
  EXPECT_THROW(draw_heatmap(map, grid, std::vector<double>(3), std::nullopt, {}, 480, 320), InvalidArgument);
  EXPECT_THROW(draw_maze(map, {1, 1}, {1, 1}, 1 << 20, 5), InvalidArgument);
}

TEST(Draw, DivergingColoursAreWhiteAtZero) {
  const MazeMap map = MazeMap::named("open");
  const MazeGrid grid = maze_grid(map, 20);
  std::vector<double> values;
  for (const Point& p : grid.points) values.push_back(p[1] - 2.8);
  const Image image =
      draw_heatmap(map, grid, values, std::nullopt, {.diverging = true, .color_bar = false}, 540, 340);
  const Rgb middle = pixel(image, 270, 170), left = pixel(image, 25, 170), right = pixel(image, 515, 170);
  EXPECT_GT(middle[0] + middle[1] + middle[2], 710);
  EXPECT_GT(left[2], left[0] + 80);
  EXPECT_GT(right[0], right[2] + 80);
}

}  // namespace
}  // namespace diffreward
