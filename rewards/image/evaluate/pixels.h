// Pictures as OpenCV's matrices, for the sources of this folder and its neighbours; not installed.
#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"
#include "envs/image.h"

namespace diffreward {

/// The picture's own bytes as RGB, only to be read, valid as long as it lives. Throws InvalidArgument where the sizes do
/// not fit.
inline cv::Mat pixels_of(const Image& image) {
  require(image.width > 0 && image.height > 0 &&
              image.rgb.size() == std::size_t(image.width) * std::size_t(image.height) * 3,
          "image: expected a positive size and 3 bytes a pixel, got ", image.width, " x ", image.height,
          " and ", image.rgb.size(), " bytes");
  return {image.height, image.width, CV_8UC3, const_cast<std::uint8_t*>(image.rgb.data())};
}

/// A copy. rgb: CV_8UC3
inline Image image_of(const cv::Mat& rgb) {
  const cv::Mat whole = rgb.isContinuous() ? rgb : rgb.clone();
  return {whole.cols, whole.rows, {whole.data, whole.data + whole.total() * 3}};
}

/// Of another size: means of areas where it shrinks, bilinear where it grows.
inline cv::Mat resized(const cv::Mat& picture, cv::Size size) {
  cv::Mat out;
  const bool shrinks = size.width < picture.cols || size.height < picture.rows;
  cv::resize(picture, out, size, 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
  return out;
}

}  // namespace diffreward
