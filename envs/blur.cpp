#include "envs/blur.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"

namespace diffreward {

Image blurred(const Image& image, double sigma) {
  require(image.width > 0 && image.height > 0 &&
              image.rgb.size() == std::size_t(image.width) * std::size_t(image.height) * 3,
          "image: expected 3 bytes a pixel, got ", image.rgb.size(), " for ", image.width, " x ",
          image.height);
  require(sigma > 0 && sigma <= 1000, "sigma: expected more than 0 pixels and at most 1000, got ", sigma);
  Image out = image;
  const cv::Mat from(image.height, image.width, CV_8UC3, const_cast<std::uint8_t*>(image.rgb.data()));
  cv::Mat to(image.height, image.width, CV_8UC3, out.rgb.data());
  cv::GaussianBlur(from, to, cv::Size(), sigma);
  return out;
}

std::string picture_library() {
  return "OpenCV " + cv::getVersionString();
}

}  // namespace diffreward
