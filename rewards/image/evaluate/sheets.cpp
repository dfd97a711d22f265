#include "rewards/image/evaluate/sheets.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "agents/stable_diffusion/picture_files.h"
#include "core/format.h"
#include "report/video.h"
#include "rewards/image/evaluate/pixels.h"

namespace diffreward {
namespace {

// RGB; the two labels are told apart by those who see red and green alike (Okabe and Ito 2008).
const cv::Scalar kPaper(255, 255, 255), kInk(38, 42, 51), kPositive(213, 94, 0), kNegative(0, 114, 178);
constexpr int kFrame = 4, kGap = 8, kLine = 15;  // pixels
constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kLetters = 0.38, kTail = 0.005;

/// One sign a code point, those that the font lacks as '?'.
std::string letters(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0u) != 0x80u) out += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  return out;
}

/// As much of the text as fits into `room` pixels.
void write(cv::Mat& canvas, cv::Point top_left, int room, const std::string& text) {
  const auto width = [](const std::string& shown) {
    return cv::getTextSize(shown, kFont, kLetters, 1, nullptr).width;
  };
  std::string shown = letters(text);
  if (width(shown) > room) {
    while (!shown.empty() && width(shown + "...") > room) shown.pop_back();
    shown += "...";
  }
  cv::putText(canvas, shown, top_left + cv::Point(0, kLine - 4), kFont, kLetters, kInk, 1, cv::LINE_AA);
}

cv::Size fitted(const Image& image, int side) {
  const double scale = side / double(std::max(image.width, image.height));
  return {std::max(1, int(std::lround(image.width * scale))),
          std::max(1, int(std::lround(image.height * scale)))};
}

/// In the middle of a square.
void put(cv::Mat& canvas, cv::Point top_left, const Image& image, const SheetConfig& config) {
  const Image shown = config.blur ? made_unrecognisable(image) : image;
  const cv::Size size = fitted(shown, config.side);
  const cv::Point at(top_left.x + (config.side - size.width) / 2,
                     top_left.y + (config.side - size.height) / 2);
  resized(pixels_of(shown), size).copyTo(canvas(cv::Rect(at, size)));
}

}  // namespace

Image contact_sheet(std::span<const Image> images, std::span<const ScoredImage> rows,
                    const std::string& title, const SheetConfig& config) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return rows[a].score > rows[b].score; });
  return contact_sheet(images, rows, order, title, config);
}

Image contact_sheet(std::span<const Image> images, std::span<const ScoredImage> rows,
                    std::span<const std::size_t> chosen, const std::string& title,
                    const SheetConfig& config) {
  validate(config);
  require(images.size() == rows.size(), "contact_sheet: expected a row a picture, got ", rows.size(), " for ",
          images.size());
  require(!chosen.empty(), "contact_sheet: expected at least one picture, got none");
  const int framed = config.side + 2 * kFrame, cell = framed + 2 * kLine + kGap;
  const int columns = std::min(config.columns, int(chosen.size()));
  const int lines = (int(chosen.size()) + columns - 1) / columns;
  cv::Mat canvas(lines * cell + kGap, columns * (framed + kGap) + kGap, CV_8UC3, kPaper);
  for (std::size_t k = 0; k < chosen.size(); ++k) {
    require(chosen[k] < rows.size(), "contact_sheet: expected numbers of pictures below ", rows.size(),
            ", got ", chosen[k]);
    const ScoredImage& row = rows[chosen[k]];
    const cv::Point at(kGap + int(k) % columns * (framed + kGap), kGap + int(k) / columns * cell);
    canvas(cv::Rect(at, cv::Size(framed, framed))).setTo(row.positive ? kPositive : kNegative);
    canvas(cv::Rect(at + cv::Point(kFrame, kFrame), cv::Size(config.side, config.side))).setTo(kPaper);
    put(canvas, at + cv::Point(kFrame, kFrame), images[chosen[k]], config);
    write(canvas, at + cv::Point(0, framed), framed, concat(format_number(row.score), "  seed ", row.seed));
    write(canvas, at + cv::Point(0, framed + kLine), framed, row.prompt.empty() ? row.name : row.prompt);
  }
  return captioned(image_of(canvas), letters(title));
}

Image side_by_side(const std::vector<std::string>& columns, std::span<const PictureRow> rows,
                   const SheetConfig& config) {
  validate(config);
  require(!columns.empty() && !rows.empty(), "side_by_side: expected at least one column and row, got ",
          columns.size(), " and ", rows.size());
  const int wide = config.side + kGap, cell = kLine + config.side + kLine + kGap;
  cv::Mat canvas(kLine + kGap + int(rows.size()) * cell, int(columns.size()) * wide + kGap, CV_8UC3, kPaper);
  for (std::size_t c = 0; c < columns.size(); ++c)
    write(canvas, {kGap + int(c) * wide, kGap / 2}, config.side, columns[c]);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const PictureRow& row = rows[r];
    require(row.images.size() == columns.size() && row.captions.size() == columns.size(),
            "side_by_side: row ", r, ": expected ", columns.size(), " pictures and captions, got ",
            row.images.size(), " and ", row.captions.size());
    const int top = kLine + kGap + int(r) * cell;
    write(canvas, {kGap, top}, canvas.cols - 2 * kGap, row.title);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const int left = kGap + int(c) * wide;
      put(canvas, {left, top + kLine}, row.images[c], config);
      write(canvas, {left, top + kLine + config.side}, config.side, row.captions[c]);
    }
  }
  return image_of(canvas);
}

Image heat_overlay(const Image& image, const PixelMap& heat, const SheetConfig& config,
                   const PixelMap* object) {
  validate(config);
  const auto check = [](const PixelMap& map, const char* what) {
    require(map.width > 0 && map.height > 0 &&
                map.values.size() == std::size_t(map.width) * std::size_t(map.height),
            what, ": expected a positive size and a value a pixel, got ", map.width, " x ", map.height,
            " and ", map.values.size());
  };
  check(heat, "heat map");
  const Image shown = config.blur ? made_unrecognisable(image) : image;
  const cv::Size size = fitted(shown, config.side);
  const std::vector<double> values(heat.values.begin(), heat.values.end());
  const std::vector<double> scaled = min_max(winsorise(values, kTail));
  cv::Mat bytes;
  cv::Mat(heat.height, heat.width, CV_64F, const_cast<double*>(scaled.data())).convertTo(bytes, CV_8U, 255);
  cv::Mat colours, out;
  cv::applyColorMap(resized(bytes, size), colours, cv::COLORMAP_VIRIDIS);
  cv::cvtColor(colours, colours, cv::COLOR_BGR2RGB);
  cv::addWeighted(resized(pixels_of(shown), size), 1 - config.opacity, colours, config.opacity, 0, out);
  if (object) {
    check(*object, "object");
    const cv::Mat mask(object->height, object->width, CV_32F, const_cast<float*>(object->values.data()));
    std::vector<std::vector<cv::Point>> outlines;
    cv::Mat enlarged;
    cv::resize(cv::Mat(mask > 0), enlarged, size, 0, 0, cv::INTER_NEAREST);
    cv::findContours(enlarged, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
    cv::drawContours(out, outlines, -1, kPaper, 1, cv::LINE_AA);
  }
  return image_of(out);
}

}  // namespace diffreward
