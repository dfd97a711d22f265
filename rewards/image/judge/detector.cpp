#include "rewards/image/judge/detector.h"

#include <algorithm>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "rewards/image/evaluate/pixels.h"

namespace diffreward {
namespace {

constexpr std::size_t kBox = 4;  // numbers before the scores

std::vector<std::string> read_kinds(const std::filesystem::path& path) {
  std::istringstream text(read_file(path));
  std::vector<std::string> kinds;
  for (std::string line; std::getline(text, line);)
    if (!line.empty()) kinds.push_back(line);
  if (kinds.empty()) throw Error(concat(path.string(), ": expected a name a line, found none"));
  return kinds;
}

/// OpenCV's own words, brought to one line.
std::string reason_of(const cv::Exception& error) {
  std::string reason = error.err.empty() ? error.what() : error.err;
  std::ranges::replace(reason, '\n', ' ');
  return reason;
}

double overlap_of(const Detection& a, const Detection& b) {
  const double width = std::min(a.left + a.width, b.left + b.width) - std::max(a.left, b.left),
               height = std::min(a.top + a.height, b.top + b.height) - std::max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  const double both = width * height;
  return both / (a.width * a.height + b.width * b.height - both);
}

}  // namespace

struct Detector::Impl {
  std::filesystem::path file;
  DetectorConfig config;
  std::vector<std::string> kinds;
  cv::dnn::Net net;

  /// [4 + kinds, places] of a square, scaled without areas as such networks are trained.
  cv::Mat output(const cv::Mat& square) {
    cv::Mat out;
    try {
      net.setInput(cv::dnn::blobFromImage(square, 1.0 / 255, {config.side, config.side}));
      out = net.forward();
    } catch (const cv::Exception& error) {
      throw Error(concat(file.string(), ": ", reason_of(error)));
    }
    const auto rows = static_cast<int>(kBox + kinds.size());
    if (out.dims != 3 || out.size[0] != 1 || out.size[1] != rows || out.type() != CV_32F) {
      std::string shape;
      for (int i = 0; i < out.dims; ++i) shape += concat(i > 0 ? " x " : "", out.size[i]);
      throw Error(concat(file.string(), ": expected an output of 1 x ", rows, " x places, 4 numbers and ",
                         kinds.size(), " kinds, found ", shape));
    }
    return cv::Mat(rows, out.size[2], CV_32F, out.ptr<float>()).clone();
  }
};

Detector::Detector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;
Detector::~Detector() = default;

Detector Detector::load(const std::filesystem::path& network, const std::filesystem::path& kinds,
                        const DetectorConfig& config) {
  validate(config);
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);  // its exceptions say the same
  auto impl = std::make_unique<Impl>(Impl{network, config, read_kinds(kinds), {}});
  const std::string bytes = read_file(network);
  try {
    impl->net = cv::dnn::readNetFromONNX(bytes.data(), bytes.size());
  } catch (const cv::Exception& error) {
    throw Error(concat(network.string(), ": expected a network that OpenCV reads: ", reason_of(error)));
  }
  if (impl->net.empty()) throw Error(concat(network.string(), ": expected a network, found none"));
  impl->output(cv::Mat::zeros(config.side, config.side, CV_8UC3));
  return Detector(std::move(impl));
}

const std::vector<std::string>& Detector::kinds() const {
  return impl_->kinds;
}

std::vector<Detection> Detector::detect(const Image& picture) {
  require(picture.width > 0 && picture.height > 0, "detect: expected a picture, got none");
  const int longer = std::max(picture.width, picture.height), side = impl_->config.side;
  cv::Mat square = cv::Mat::zeros(longer, longer, CV_8UC3);
  pixels_of(picture).copyTo(square(cv::Rect(0, 0, picture.width, picture.height)));
  const cv::Mat out = impl_->output(square);
  const double scale = double(longer) / side;
  std::vector<Detection> found;
  for (int place = 0; place < out.cols; ++place) {
    const auto at = [&](std::size_t row) { return double(out.at<float>(int(row), place)); };
    std::size_t best = 0;
    for (std::size_t k = 1; k < impl_->kinds.size(); ++k)
      if (at(kBox + k) > at(kBox + best)) best = k;
    if (!(at(kBox + best) >= impl_->config.threshold)) continue;
    const auto inside = [&](double value, int size) { return std::clamp(scale * value, 0.0, double(size)); };
    const double left = inside(at(0) - at(2) / 2, picture.width),
                 top = inside(at(1) - at(3) / 2, picture.height);
    found.push_back({best, at(kBox + best), left, top, inside(at(0) + at(2) / 2, picture.width) - left,
                     inside(at(1) + at(3) / 2, picture.height) - top});
  }
  std::ranges::stable_sort(found, std::greater{}, &Detection::score);
  std::vector<Detection> kept;
  for (const Detection& one : found)
    if (one.width > 0 && one.height > 0 && std::ranges::none_of(kept, [&](const Detection& better) {
          return better.kind == one.kind && overlap_of(better, one) > impl_->config.overlap;
        }))
      kept.push_back(one);
  return kept;
}

}  // namespace diffreward
