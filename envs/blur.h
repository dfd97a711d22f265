// Pictures under a Gaussian, by OpenCV.
#pragma once

#include <string>

#include "envs/image.h"

namespace diffreward {

/// The picture under a Gaussian of `sigma` pixels.
Image blurred(const Image& image, double sigma);

/// Who blurs and encodes pictures: "OpenCV 4.6.0".
std::string picture_library();

}  // namespace diffreward
