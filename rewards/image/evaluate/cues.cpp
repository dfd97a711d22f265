#include "rewards/image/evaluate/cues.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "rewards/image/evaluate/pixels.h"

namespace diffreward {
namespace {

constexpr int kInk = 32;  // of 255
constexpr double kCannyLow = 100, kCannyHigh = 200;

double share(const cv::Mat& mask) {
  return cv::countNonZero(mask) / double(mask.total());
}

double diagonality(const cv::Mat& grey) {
  cv::Mat gx, gy;
  cv::Sobel(grey, gx, CV_64F, 1, 0);
  cv::Sobel(grey, gy, CV_64F, 0, 1);
  const double all = gx.dot(gx) + gy.dot(gy);
  return all > 0 ? cv::norm(2 * gx.mul(gy), cv::NORM_L1) / all : 0;
}

double ink(const cv::Mat& rgb) {
  std::array<std::vector<std::uint8_t>, 3> border;
  const auto add = [&](const cv::Mat& strip) {
    for (const cv::Vec3b& pixel : cv::Mat_<cv::Vec3b>(strip))
      for (int c = 0; c < 3; ++c) border[std::size_t(c)].push_back(pixel[c]);
  };
  add(rgb.row(0));
  add(rgb.row(rgb.rows - 1));
  add(rgb.col(0));
  add(rgb.col(rgb.cols - 1));
  cv::Scalar paper;
  for (int c = 0; c < 3; ++c) {
    auto& values = border[std::size_t(c)];
    const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    paper[c] = *middle;
  }
  cv::Mat plain;
  cv::inRange(rgb, paper - cv::Scalar::all(kInk), paper + cv::Scalar::all(kInk), plain);
  return 1 - share(plain);
}

}  // namespace

TrivialCues trivial_cues(const Image& image) {
  const cv::Mat rgb = pixels_of(image);
  cv::Mat grey, hsv, edges;
  cv::cvtColor(rgb, grey, cv::COLOR_RGB2GRAY);
  cv::cvtColor(rgb, hsv, cv::COLOR_RGB2HSV_FULL);
  cv::Canny(grey, edges, kCannyLow, kCannyHigh);
  return {.diagonality = diagonality(grey),
          .ink = ink(rgb),
          .saturation = cv::mean(hsv)[1] / 255,
          .brightness = cv::mean(grey)[0] / 255,
          .edges = share(edges)};
}

std::vector<CueScore> cue_scores(std::span<const TrivialCues> positive, std::span<const TrivialCues> negative,
                                 const BootstrapConfig& config) {
  struct Column {
    std::string name;
    std::vector<double> positive, negative;
  };
  std::vector<Column> columns;
  const TrivialCues any;
  TrivialCues::visit(any, [&](const char* name, double) { columns.push_back({name, {}, {}}); });
  const auto fill = [&](std::span<const TrivialCues> rows, std::vector<double> Column::*side) {
    for (const TrivialCues& row : rows) {
      std::size_t k = 0;
      TrivialCues::visit(row, [&](const char*, double value) { (columns[k++].*side).push_back(value); });
    }
  };
  fill(positive, &Column::positive);
  fill(negative, &Column::negative);
  std::vector<CueScore> out;
  for (const Column& column : columns) {
    const bool rises = auroc(column.positive, column.negative) >= 0.5;
    Estimate worth = bootstrap_auroc({column.positive, {}}, {column.negative, {}}, config);
    if (!rises) worth = {1 - worth.value, 1 - worth.high, 1 - worth.low};
    out.push_back({column.name, rises, worth});
  }
  return out;
}

}  // namespace diffreward
