#include "envs/image.h"

#include <png.h>

#include <algorithm>
#include <memory>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

constexpr unsigned kWidest = 16384;  // pixels of either side, as drawings have at most

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
  // libpng itself: OpenCV lets it print on the terminal what it thinks of a damaged file.
  const std::string bytes = read_file(path);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image*)> guard(&png, png_image_free);
  const auto fail = [&](const std::string& found) {
    return Error(concat(path.string(), ": expected a PNG picture, found ", found));
  };
  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size())) throw fail(png.message);
  if (png.width > kWidest || png.height > kWidest)
    throw fail(concat("one of ", png.width, " x ", png.height, " pixels, more than ", kWidest));
  png.format = PNG_FORMAT_RGB;
  // Else 16 bits a channel are taken for linear light, and brightened.
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  Image image{int(png.width), int(png.height),
              std::vector<std::uint8_t>(PNG_IMAGE_SIZE(png), 255)};  // white under what is transparent
  if (!png_image_finish_read(&png, /*background=*/nullptr, image.rgb.data(), /*row_stride=*/0, nullptr))
    throw fail(png.message);
  return image;
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

Image below(const std::vector<Image>& images, int gap) {
  require(!images.empty(), "below: expected at least one image, got none");
  require(gap >= 0, "below: expected a gap of at least 0 pixels, got ", gap);
  Image out{0, gap * int(images.size() - 1), {}};
  for (const Image& image : images) {
    check_size(image);
    out.width = std::max(out.width, image.width);
    out.height += image.height;
  }
  const std::size_t row = std::size_t(out.width) * 3;
  out.rgb.assign(row * std::size_t(out.height), 255);
  std::size_t top = 0;  // bytes
  for (const Image& image : images) {
    const std::size_t own = std::size_t(image.width) * 3;
    for (std::size_t y = 0; y < std::size_t(image.height); ++y)
      std::copy_n(image.rgb.data() + y * own, own, out.rgb.data() + top + y * row);
    top += (std::size_t(image.height) + std::size_t(gap)) * row;
  }
  return out;
}

}  // namespace diffreward
