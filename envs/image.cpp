#include "envs/image.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

void check_size(const Image& image) {
  require(image.width > 0 && image.height > 0, "image: expected a positive size, got ", image.width, " x ",
          image.height);
  const auto expected = std::size_t(image.width) * std::size_t(image.height) * 3;
  require(image.rgb.size() == expected, "image: expected ", expected, " bytes for ", image.width, " x ",
          image.height, " RGB, got ", image.rgb.size());
}

}  // namespace

void check_picture_size(int width, int height) {
  for (const auto& [name, side] : {std::pair{"width", width}, {"height", height}})
    require(side >= kMinPictureSide && side <= kMaxPictureSide, name, ": expected ", kMinPictureSide, " to ",
            kMaxPictureSide, " pixels, got ", side);
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  check_size(image);
  const cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<std::uint8_t*>(image.rgb.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(".png", bgr, bytes)) throw Error("image: OpenCV has no PNG encoder");
  return bytes;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const std::vector<std::uint8_t> bytes = encode_png(image);
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Image read_png(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  const cv::Mat bgr =
      bytes.empty() ? cv::Mat()
                    : cv::imdecode(cv::Mat(1, int(bytes.size()), CV_8U, const_cast<char*>(bytes.data())),
                                   cv::IMREAD_COLOR);
  if (bgr.empty()) throw Error(concat(path.string(), ": expected a picture, found other content"));
  cv::Mat rgb;
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return {rgb.cols, rgb.rows, {rgb.datastart, rgb.dataend}};
}

Image beside(const std::vector<Image>& images, int gap) {
  require(!images.empty(), "beside: expected at least one image, got none");
  require(gap >= 0, "beside: expected a gap of at least 0 pixels, got ", gap);
  Image out{gap * int(images.size() - 1), images[0].height, {}};
  for (const Image& image : images) {
    check_size(image);
    require(image.height == out.height, "beside: expected images of height ", out.height, ", got ",
            image.height);
    out.width += image.width;
  }
  out.rgb.assign(std::size_t(out.width) * std::size_t(out.height) * 3, 255);
  std::size_t left = 0;  // bytes
  for (const Image& image : images) {
    const std::size_t row = std::size_t(image.width) * 3;
    for (std::size_t y = 0; y < std::size_t(image.height); ++y)
      std::copy_n(image.rgb.data() + y * row, row, out.rgb.data() + y * std::size_t(out.width) * 3 + left);
    left += row + std::size_t(gap) * 3;
  }
  return out;
}

}  // namespace diffreward
