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
constexpr std::size_t kShades = 24;  // along a trajectory

const cv::Scalar kPaper(255, 255, 255), kFloor(247, 246, 242), kWall(62, 68, 81), kInk(38, 42, 51),
    kGoal(214, 39, 40), kBall(31, 119, 180), kUnknown(200, 200, 200);

class Canvas {
  static constexpr double kRim = 0.2;  // cells

 public:
  /// The maze as large as fits between the margins (pixels), centred; of the outer walls only a rim is shown.
  Canvas(const MazeMap& map, int width, int height, int top, int right)
      : map_(map), pixels_(height, width, CV_8UC3, kPaper) {
    const double room_x = width - right, room_y = height - top;
    scale_ = std::min(room_x / (map.columns() - 2 + 2 * kRim), room_y / (map.rows() - 2 + 2 * kRim));
    const cv::Size2d size(scale_ * (map.columns() - 2 + 2 * kRim), scale_ * (map.rows() - 2 + 2 * kRim));
    area_ = {(room_x - size.width) / 2, top + (room_y - size.height) / 2, size.width, size.height};
  }

  cv::Mat& pixels() { return pixels_; }
  double scale() const { return scale_; }    // pixels per cell
  cv::Rect2d area() const { return area_; }  // pixels the maze covers, the rim included
  cv::Point2d at(Point p) const {
    return {area_.x + (p[1] - 0.3 + kRim) * scale_, area_.y + (p[0] - 0.3 + kRim) * scale_};
  }

  void fill_cells(bool free, const cv::Scalar& colour) {
    for (int r = 0; r < map_.rows(); ++r)
      for (int c = 0; c < map_.columns(); ++c) {
        if (map_.free({r, c}) != free) continue;
        const cv::Point2d low = at({r - 0.7, c - 0.7}), high = at({r + 0.3, c + 0.3});
        const cv::Rect cell(cv::Point(cvRound(low.x), cvRound(low.y)),
                            cv::Point(cvRound(high.x), cvRound(high.y)));
        const cv::Rect view(cv::Point(cvRound(area_.x), cvRound(area_.y)),
                            cv::Point(cvRound(area_.br().x), cvRound(area_.br().y)));
        if (!(cell & view).empty()) pixels_(cell & view).setTo(colour);
      }
  }

  void disc(cv::Point2d middle, double radius, const cv::Scalar& colour) {
    cv::circle(pixels_, fixed(middle), int(std::lround(radius * (1 << kShift))), colour, cv::FILLED,
               cv::LINE_AA, kShift);
  }

  void line(cv::Point2d a, cv::Point2d b, int width, const cv::Scalar& colour) {
    cv::line(pixels_, fixed(a), fixed(b), colour, width, cv::LINE_AA, kShift);
  }

  void curve(std::span<const Point> positions, int width, const cv::Scalar& colour) {
    std::vector<cv::Point> points;
    for (const Point& position : positions) points.push_back(fixed(at(position)));
    cv::polylines(pixels_, points, false, colour, width, cv::LINE_AA, kShift);
  }

  void star(Point where) {
    const double radius = std::min(0.28 * scale_, pixels_.rows / 24.0);
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
  double scale_;
  cv::Rect2d area_;
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

/// Multiples of 1, 2 or 5 times a power of ten inside [low, high], three to six of them.
std::vector<double> ticks(double low, double high) {
  const double power = std::pow(10, std::floor(std::log10((high - low) / 3)));
  double step = power;
  for (const double factor : {2.0, 5.0})
    if ((high - low) / (factor * power) >= 3) step = factor * power;
  std::vector<double> out;
  for (double i = std::ceil(low / step); i * step <= high; ++i)
    out.push_back(i * step + 0.0);  // + 0.0: no "-0"
  return out;
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
  for (const double tick : ticks(low, high)) {
    const int y = bar.y + int(std::lround((bar.height - 1) * (high - tick) / (high - low)));
    const int right = bar.x + bar.width;
    cv::line(pixels, {right, y}, {right + 3, y}, kInk, 1);
    put_text(pixels, short_number(tick), {right + 7, y}, letters);
  }
}

/// Gives unknown entries next to known ones the mean of those, so that interpolation has no dark seams at
/// walls.
void spread(cv::Mat& colours, const cv::Mat& known) {
  const cv::Mat before = colours.clone();
  for (int y = 0; y < colours.rows; ++y)
    for (int x = 0; x < colours.cols; ++x) {
      if (known.at<std::uint8_t>(y, x)) continue;
      cv::Vec3i sum(0, 0, 0);
      int count = 0;
      for (int j = std::max(y - 1, 0); j <= std::min(y + 1, colours.rows - 1); ++j)
        for (int i = std::max(x - 1, 0); i <= std::min(x + 1, colours.cols - 1); ++i)
          if (known.at<std::uint8_t>(j, i)) {
            sum += cv::Vec3i(before.at<cv::Vec3b>(j, i));
            ++count;
          }
      if (count) colours.at<cv::Vec3b>(y, x) = cv::Vec3b(sum / count);
    }
}

/// Colours between the samples, interpolated; samples without a value stay grey squares. Walls are painted
/// later.
void paint_samples(Canvas& canvas, const MazeMap& map, const MazeGrid& grid, std::span<const double> values,
                   double low, double high, bool diverging) {
  const int columns = map.columns() * grid.per_cell, rows = map.rows() * grid.per_cell;
  cv::Mat colours(rows, columns, CV_8UC3, kUnknown), known(rows, columns, CV_8UC1, cv::Scalar(0)),
      unknown = known.clone();
  for (std::size_t k = 0; k < values.size(); ++k) {
    const int y = grid.index[k] / columns, x = grid.index[k] % columns;
    const bool has = std::isfinite(values[k]);
    (has ? known : unknown).at<std::uint8_t>(y, x) = 255;
    if (has) colours.at<cv::Vec3b>(y, x) = heat((values[k] - low) / (high - low), diverging);
  }
  spread(colours, known);
  const cv::Point2d origin = canvas.at({-0.7, -0.7});
  const double per_pixel = grid.per_cell / canvas.scale();  // samples a pixel; pixel centres lie at + 0.5
  const cv::Matx23d map_to(per_pixel, 0, (0.5 - origin.x) * per_pixel - 0.5, 0, per_pixel,
                           (0.5 - origin.y) * per_pixel - 0.5);
  cv::Mat smooth, grey;
  const cv::Size size = canvas.pixels().size();
  cv::warpAffine(colours, smooth, map_to, size, cv::INTER_LINEAR | cv::WARP_INVERSE_MAP,
                 cv::BORDER_REPLICATE);
  cv::warpAffine(unknown, grey, map_to, size, cv::INTER_NEAREST | cv::WARP_INVERSE_MAP);
  smooth.setTo(kUnknown, grey);
  const cv::Rect area = cv::Rect(canvas.area()) & cv::Rect({0, 0}, size);
  smooth(area).copyTo(canvas.pixels()(area));
}

}  // namespace

Image draw_maze(const MazeMap& map, Point ball, Point goal, int width, int height) {
  check_picture_size(width, height);
  Canvas canvas(map, width, height, 0, 0);
  canvas.fill_cells(true, kFloor);
  canvas.fill_cells(false, kWall);
  canvas.star(goal);
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
    for (std::size_t k = 0; k < kShades; ++k) {
      const double age = (double(k) + 0.5) / kShades;  // from pale to full, then a little darker
      const cv::Scalar colour = age < 0.7 ? kFloor + (full - kFloor) * (0.35 + 0.65 * age / 0.7)
                                          : full * (1 - 0.35 * (age - 0.7) / 0.3);
      const std::size_t begin = n * k / kShades, end = std::min(n * (k + 1) / kShades + 1, n);
      if (end > begin + 1)
        canvas.curve(std::span(trajectory.points).subspan(begin, end - begin), thickness, colour);
    }
  }
  for (const Trajectory& trajectory : trajectories) {
    if (trajectory.points.empty()) continue;
    const cv::Point2d start = canvas.at(trajectory.points[0]);
    const cv::Scalar full(trajectory.rgb[0], trajectory.rgb[1], trajectory.rgb[2]);
    canvas.disc(start, std::max(5.5, 0.12 * canvas.scale()), kPaper);
    canvas.disc(start, std::max(4.0, 0.09 * canvas.scale()), full);
  }
  if (goal) canvas.star(*goal);
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
  for (const double tick : ticks(low, high))
    labels = std::max(labels, text_width(short_number(tick), letters));
  const int bar_width = std::max(8, width / 40);
  // Bar and title give way where they would take more than a quarter of the picture.
  int right = style.color_bar ? bar_width + labels + 26 : 0;
  if (4 * right > width) right = 0;
  int top = style.title.empty() ? 0 : int(2.2 * letters);
  if (4 * top > height) top = 0;
  Canvas canvas(map, width, height, top, right);

  paint_samples(canvas, map, grid, values, low, high, style.diverging);
  canvas.fill_cells(false, kWall);

  for (const Point& mark : style.marks) {
    const cv::Point2d p = canvas.at(mark);
    const double arm = 0.14 * canvas.scale();
    for (const auto& [thickness, colour] : {std::pair{5, kPaper}, std::pair{2, kInk}}) {
      canvas.line({p.x - arm, p.y - arm}, {p.x + arm, p.y + arm}, thickness, colour);
      canvas.line({p.x - arm, p.y + arm}, {p.x + arm, p.y - arm}, thickness, colour);
    }
  }
  if (goal) canvas.star(*goal);
  const cv::Rect area(canvas.area());
  if (top > 0)
    put_text(canvas.pixels(), style.title, {area.x + 2, std::max(area.y - int(1.1 * letters), int(letters))},
             letters);
  if (right > 0) {
    const cv::Rect bar(area.x + area.width + 12, area.y + area.height / 20, bar_width, area.height * 9 / 10);
    draw_color_bar(canvas.pixels(), bar, low, high, style.diverging, letters);
  }
  return canvas.image();
}

}  // namespace diffreward
