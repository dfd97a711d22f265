#include "envs/maze2d/draw.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"

namespace diffreward {
namespace {

// Everything is drawn with x to the right along columns and y down along rows, in sub-pixel coordinates
// (kShift fractional bits) and antialiased.
constexpr int kShift = 6;

const cv::Scalar kPaper(255, 255, 255), kFloor(247, 246, 242), kWall(62, 68, 81), kInk(38, 42, 51),
    kGoal(214, 39, 40), kBall(31, 119, 180), kUnknown(200, 200, 200);

class Canvas {
 public:
  /// The maze as large as fits between the margins (pixels), centred.
  Canvas(const MazeMap& map, int width, int height, int top, int right)
      : map_(map), pixels_(height, width, CV_8UC3, kPaper) {
    const double room_x = width - right, room_y = height - top;
    scale_ = std::min(room_x / map.columns(), room_y / map.rows());
    left_ = (room_x - scale_ * map.columns()) / 2;
    top_ = top + (room_y - scale_ * map.rows()) / 2;
  }

  cv::Mat& pixels() { return pixels_; }
  double scale() const { return scale_; }  // pixels per cell
  cv::Point2d at(Point p) const { return {left_ + (p[1] + 0.7) * scale_, top_ + (p[0] + 0.7) * scale_}; }
  cv::Rect2d maze() const { return {left_, top_, scale_ * map_.columns(), scale_ * map_.rows()}; }

  void fill_cells(bool free, const cv::Scalar& colour) {
    for (int r = 0; r < map_.rows(); ++r)
      for (int c = 0; c < map_.columns(); ++c) {
        if (map_.free({r, c}) != free) continue;
        const cv::Point2d low = at({r - 0.7, c - 0.7}), high = at({r + 0.3, c + 0.3});
        const cv::Point a(cvRound(low.x), cvRound(low.y)), b(cvRound(high.x) - 1, cvRound(high.y) - 1);
        cv::rectangle(pixels_, a, b, colour, cv::FILLED);
      }
  }

  void disc(cv::Point2d middle, double radius, const cv::Scalar& colour) {
    cv::circle(pixels_, fixed(middle), int(std::lround(radius * (1 << kShift))), colour, cv::FILLED,
               cv::LINE_AA, kShift);
  }

  void line(cv::Point2d a, cv::Point2d b, int width, const cv::Scalar& colour) {
    cv::line(pixels_, fixed(a), fixed(b), colour, width, cv::LINE_AA, kShift);
  }

  void star(Point where, double radius) {
    const cv::Point2d middle = at(where);
    for (const auto& [grow, colour] : {std::pair{1.35, kPaper}, std::pair{1.0, kGoal}}) {
      std::vector<cv::Point> points;
      for (int i = 0; i < 10; ++i) {
        const double angle = std::numbers::pi * (i / 5.0 - 0.5), r = radius * grow * (i % 2 ? 0.45 : 1);
        points.push_back(fixed({middle.x + r * std::cos(angle), middle.y + r * std::sin(angle)}));
      }
      cv::fillPoly(pixels_, std::vector<std::vector<cv::Point>>{points}, colour, cv::LINE_AA, kShift);
    }
  }

  Image image() const {
    Image out{pixels_.cols, pixels_.rows, {}};
    out.rgb.assign(pixels_.datastart, pixels_.dataend);
    return out;
  }

 private:
  static cv::Point fixed(cv::Point2d p) {
    return {int(std::lround(p.x * (1 << kShift))), int(std::lround(p.y * (1 << kShift)))};
  }

  const MazeMap& map_;
  cv::Mat pixels_;  // RGB
  double scale_, left_, top_;
};

using Rgb = std::array<double, 3>;

/// Piecewise linear between colours at equal distances. u in [0, 1].
cv::Vec3b ramp(std::span<const Rgb> stops, double u) {
  const double x = std::clamp(u, 0.0, 1.0) * double(stops.size() - 1);
  const auto i = std::min(std::size_t(x), stops.size() - 2);
  cv::Vec3b out;
  for (int k = 0; k < 3; ++k)
    out[k] = cv::saturate_cast<std::uint8_t>(
        std::lerp(stops[i][std::size_t(k)], stops[i + 1][std::size_t(k)], x - double(i)));
  return out;
}

cv::Vec3b heat(double u, bool diverging) {
  // viridis at 1/8 steps; ColorBrewer's RdBu, reversed.
  static constexpr Rgb kSequential[] = {{68, 1, 84},    {71, 45, 123},  {59, 82, 139},
                                        {44, 114, 142}, {33, 145, 140}, {40, 174, 128},
                                        {94, 201, 98},  {173, 220, 48}, {253, 231, 37}};
  static constexpr Rgb kDiverging[] = {{33, 102, 172},  {67, 147, 195},  {146, 197, 222},
                                       {209, 229, 240}, {247, 247, 247}, {253, 219, 199},
                                       {244, 165, 130}, {214, 96, 77},   {178, 24, 43}};
  return diverging ? ramp(kDiverging, u) : ramp(kSequential, u);
}

/// The range of colours: as asked, else values winsorised by 0.5 % at both tails; symmetric if diverging.
std::pair<double, double> colour_range(std::span<const double> values, const HeatmapStyle& style) {
  double low = style.low, high = style.high;
  if (low == high) {
    std::vector<double> finite;
    for (const double value : values)
      if (std::isfinite(value)) finite.push_back(value);
    if (finite.empty()) return {0, 1};
    std::sort(finite.begin(), finite.end());
    const auto cut = std::size_t(0.005 * double(finite.size()));
    low = finite[cut];
    high = finite[finite.size() - 1 - cut];
    if (style.diverging) high = std::max(std::abs(low), std::abs(high)), low = -high;
  }
  if (low == high) high = low + 1;
  return {low, high};
}

void put_text(cv::Mat& pixels, const std::string& text, cv::Point middle_left, double pixel_height) {
  constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
  const double size = pixel_height / 22;  // capitals of the font are 21 pixels high at size 1
  int base = 0;
  const cv::Size box = cv::getTextSize(text, kFont, size, 1, &base);
  cv::putText(pixels, text, {middle_left.x, middle_left.y + box.height / 2}, kFont, size, kInk, 1,
              cv::LINE_AA);
}

int text_width(const std::string& text, double pixel_height) {
  int base = 0;
  return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, pixel_height / 22, 1, &base).width;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

void check_picture(int width, int height) {
  require(width >= 16 && height >= 16 && width <= 16384 && height <= 16384,
          "picture: expected a width and height in [16, 16384] pixels, got ", width, " x ", height);
}

void draw_color_bar(cv::Mat& pixels, cv::Rect bar, double low, double high, bool diverging, double letters) {
  for (int y = 0; y < bar.height; ++y) {
    const cv::Vec3b colour = heat(1 - double(y) / std::max(bar.height - 1, 1), diverging);
    cv::line(pixels, {bar.x, bar.y + y}, {bar.x + bar.width - 1, bar.y + y}, cv::Scalar(colour), 1);
  }
  cv::rectangle(pixels, bar, kInk, 1);
  for (int i = 0; i <= 4; ++i) {
    const int y = bar.y + int(std::lround((bar.height - 1) * (1 - i / 4.0)));
    const int right = bar.x + bar.width;
    cv::line(pixels, {right, y}, {right + 3, y}, kInk, 1);
    put_text(pixels, short_number(low + (high - low) * i / 4), {right + 7, y}, letters);
  }
}

}  // namespace

Image draw_maze(const MazeMap& map, Point ball, Point goal, int width, int height) {
  check_picture(width, height);
  Canvas canvas(map, width, height, 0, 0);
  canvas.fill_cells(true, kFloor);
  canvas.fill_cells(false, kWall);
  canvas.star(goal, 0.26 * canvas.scale());
  canvas.disc(canvas.at(ball), 0.1 * canvas.scale(), kBall);
  return canvas.image();
}

Image draw_trajectories(const MazeMap& map, const std::vector<Trajectory>& trajectories,
                        std::optional<Point> goal, int width, int height) {
  check_picture(width, height);
  Canvas canvas(map, width, height, 0, 0);
  canvas.fill_cells(true, kFloor);
  canvas.fill_cells(false, kWall);
  const int thickness = std::max(1, int(std::lround(0.035 * canvas.scale())));
  for (const Trajectory& trajectory : trajectories) {
    const cv::Scalar full(trajectory.rgb[0], trajectory.rgb[1], trajectory.rgb[2]);
    const std::size_t n = trajectory.points.size();
    for (std::size_t i = 1; i < n; ++i) {
      const double age = double(i) / double(n);  // from pale to full and a little darker
      const cv::Scalar colour = age < 0.7 ? kFloor + (full - kFloor) * (0.35 + 0.65 * age / 0.7)
                                          : full * (1 - 0.35 * (age - 0.7) / 0.3);
      canvas.line(canvas.at(trajectory.points[i - 1]), canvas.at(trajectory.points[i]), thickness, colour);
    }
  }
  for (const Trajectory& trajectory : trajectories) {
    if (trajectory.points.empty()) continue;
    const cv::Point2d start = canvas.at(trajectory.points[0]);
    const cv::Scalar full(trajectory.rgb[0], trajectory.rgb[1], trajectory.rgb[2]);
    canvas.disc(start, std::max(2.5, 0.075 * canvas.scale()), kPaper);
    canvas.disc(start, std::max(1.5, 0.05 * canvas.scale()), full);
  }
  if (goal) canvas.star(*goal, 0.26 * canvas.scale());
  return canvas.image();
}

MazeGrid maze_grid(const MazeMap& map, int per_cell) {
  require(per_cell >= 1 && per_cell <= 256, "maze_grid: expected 1 to 256 samples per cell, got ", per_cell);
  MazeGrid grid{per_cell, {}, {}};
  for (int i = 0; i < map.rows() * per_cell; ++i)
    for (int j = 0; j < map.columns() * per_cell; ++j) {
      if (!map.free({i / per_cell, j / per_cell})) continue;
      grid.points.push_back({(i + 0.5) / per_cell - 0.7, (j + 0.5) / per_cell - 0.7});
      grid.index.push_back(i * map.columns() * per_cell + j);
    }
  return grid;
}

Image draw_heatmap(const MazeMap& map, const MazeGrid& grid, std::span<const double> values,
                   std::optional<Point> goal, const HeatmapStyle& style, int width, int height) {
  check_picture(width, height);
  require(values.size() == grid.points.size(), "draw_heatmap: expected ", grid.points.size(), " values, got ",
          values.size());
  const auto [low, high] = colour_range(values, style);
  const double letters = std::clamp(height / 40.0, 8.0, 18.0);
  int labels = 0;
  for (int i = 0; i <= 4; ++i)
    labels = std::max(labels, text_width(short_number(low + (high - low) * i / 4), letters));
  const int bar_width = std::max(8, width / 40);
  const int right = style.color_bar ? bar_width + labels + 26 : 0;
  const int top = style.title.empty() ? 0 : int(2.2 * letters);
  Canvas canvas(map, width, height, top, right);

  // Colours at the samples; walls and unknown samples are painted over them as whole squares.
  const int columns = map.columns() * grid.per_cell, rows = map.rows() * grid.per_cell;
  cv::Mat raster(rows, columns, CV_8UC3, kUnknown);
  for (std::size_t k = 0; k < values.size(); ++k)
    if (std::isfinite(values[k]))
      raster.at<cv::Vec3b>(grid.index[k] / columns, grid.index[k] % columns) =
          heat((values[k] - low) / (high - low), style.diverging);
  const cv::Rect2d area = canvas.maze();
  const cv::Matx23d to_raster(columns / area.width, 0, (0.5 - area.x) * columns / area.width - 0.5, 0,
                              rows / area.height, (0.5 - area.y) * rows / area.height - 0.5);
  cv::warpAffine(raster, canvas.pixels(), to_raster, canvas.pixels().size(),
                 cv::INTER_NEAREST | cv::WARP_INVERSE_MAP, cv::BORDER_TRANSPARENT);
  canvas.fill_cells(false, kWall);

  for (const Point& mark : style.marks) {
    const cv::Point2d p = canvas.at(mark);
    const double arm = 0.14 * canvas.scale();
    for (const auto& [thickness, colour] : {std::pair{5, kPaper}, std::pair{2, kInk}}) {
      canvas.line({p.x - arm, p.y - arm}, {p.x + arm, p.y + arm}, thickness, colour);
      canvas.line({p.x - arm, p.y + arm}, {p.x + arm, p.y - arm}, thickness, colour);
    }
  }
  if (goal) canvas.star(*goal, 0.26 * canvas.scale());
  if (!style.title.empty()) put_text(canvas.pixels(), style.title, {int(area.x), top / 2}, letters);
  if (style.color_bar) {
    const cv::Rect bar(int(area.x + area.width) + 12, int(area.y + 0.08 * area.height), bar_width,
                       int(0.84 * area.height));
    draw_color_bar(canvas.pixels(), bar, low, high, style.diverging, letters);
  }
  return canvas.image();
}

}  // namespace diffreward
