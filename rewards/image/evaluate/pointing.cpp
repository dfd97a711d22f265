#include "rewards/image/evaluate/pointing.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"

namespace diffreward {
namespace {

cv::Mat matrix_of(const PixelMap& map, const char* what) {
  require(map.width > 0 && map.height > 0 &&
              map.values.size() == std::size_t(map.width) * std::size_t(map.height),
          what, ": expected a positive size and a value a pixel, got ", map.width, " x ", map.height, " and ",
          map.values.size());
  for (const float value : map.values)
    require(std::isfinite(value), what, ": expected finite values, got ", value);
  return {map.height, map.width, CV_32F, const_cast<float*>(map.values.data())};
}

bool is_empty(const PixelMap& object) {
  return std::none_of(object.values.begin(), object.values.end(), [](float value) { return value > 0; });
}

}  // namespace

Pointed pointed(const PixelMap& heat, const PixelMap& object) {
  const cv::Mat map = matrix_of(heat, "heat map"), whole = matrix_of(object, "object");
  require(whole.cols >= map.cols && whole.rows >= map.rows,
          "object: expected at least the heat map's size, got ", whole.cols, " x ", whole.rows, " for ",
          map.cols, " x ", map.rows);
  require(!is_empty(object), "object: expected a positive pixel, found none");
  cv::Mat inside = cv::Mat(whole > 0), share, goal;
  inside.convertTo(inside, CV_32F);
  cv::resize(inside, share, map.size(), 0, 0, cv::INTER_AREA);
  cv::dilate(cv::Mat(share > 0), goal, cv::Mat::ones(3, 3, CV_8U));
  double most = 0;
  cv::minMaxLoc(map, nullptr, &most);
  const cv::Mat peaks = map >= most;
  return {cv::countNonZero(peaks & goal) / double(cv::countNonZero(peaks)),
          cv::countNonZero(goal) / double(goal.total())};
}

PointingGame pointing_game(std::span<const PixelMap> heat, std::span<const PixelMap> objects,
                           const BootstrapConfig& config) {
  require(heat.size() == objects.size(), "pointing_game: expected an object a heat map, got ", objects.size(),
          " for ", heat.size());
  PointingGame out;
  std::vector<double> hits, chances;
  for (std::size_t i = 0; i < heat.size(); ++i) {
    if (is_empty(objects[i])) {
      ++out.left;
      continue;
    }
    const Pointed at = pointed(heat[i], objects[i]);
    hits.push_back(at.hit);
    chances.push_back(at.chance);
  }
  require(!hits.empty(), "pointing_game: expected a picture with an object, found none");
  out.played = hits.size();
  out.hits = bootstrap_mean({hits, {}}, config);
  out.chance = mean(chances);
  return out;
}

}  // namespace diffreward
