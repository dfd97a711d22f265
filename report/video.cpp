#include "report/video.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <system_error>

#include "core/error.h"

namespace diffreward {

namespace {

constexpr int kBar = 24;  // pixels of a caption, an even number

}  // namespace

Image captioned(const Image& image, const std::string& name) {
  Image bar{image.width, kBar,
            std::vector<std::uint8_t>(static_cast<std::size_t>(image.width) * kBar * 3, 255)};
  cv::Mat pixels(bar.height, bar.width, CV_8UC3, bar.rgb.data());
  cv::putText(pixels, name, {6, kBar - 7}, cv::FONT_HERSHEY_SIMPLEX, 0.5, {30, 30, 30}, 1, cv::LINE_AA);
  return below({bar, image}, 0);
}

struct Video::Impl {
  std::filesystem::path path, unfinished;
  int width, height, frames = 0;
  cv::VideoWriter writer;
};

Video::Video(const std::filesystem::path& path, int width, int height, double frames_per_second)
    : impl_(new Impl{
          path, path.parent_path() / (path.stem().string() + ".unfinished.mp4"), width, height, 0, {}}) {
  check_picture_size(width, height);
  require(width % 2 == 0 && height % 2 == 0, "video: expected even sides, got ", width, " x ", height);
  require(frames_per_second > 0 && frames_per_second <= 240, "video: expected 0 to 240 frames a second, got ",
          frames_per_second);
  require(path.extension() == ".mp4", "video: expected a name that ends in .mp4, got ", path.string());
  for (const char* codec : {"avc1", "mp4v"})
    if (impl_->writer.open(impl_->unfinished.string(), cv::CAP_FFMPEG,
                           cv::VideoWriter::fourcc(codec[0], codec[1], codec[2], codec[3]), frames_per_second,
                           {width, height}))
      return;
  throw Error(
      concat(path.string(), ": expected OpenCV to encode MP4, found no encoder or no place to write to"));
}

Video::~Video() {
  impl_->writer.release();
  std::error_code ignored;
  std::filesystem::remove(impl_->unfinished, ignored);
}

void Video::add(const Image& frame) {
  require(frame.width == impl_->width && frame.height == impl_->height, "video: expected frames of ",
          impl_->width, " x ", impl_->height, ", got ", frame.width, " x ", frame.height);
  const cv::Mat rgb(frame.height, frame.width, CV_8UC3, const_cast<std::uint8_t*>(frame.rgb.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  impl_->writer.write(bgr);
  ++impl_->frames;
}

void Video::finish() {
  const std::string name = impl_->path.string();
  if (impl_->frames == 0) throw Error(concat(name, ": expected frames, got none"));
  impl_->writer.release();
  std::error_code failed;
  if (std::filesystem::file_size(impl_->unfinished, failed) == 0 || failed)
    throw Error(concat(name, ": could not be written"));
  std::filesystem::rename(impl_->unfinished, impl_->path, failed);
  if (failed) throw Error(concat(name, ": ", failed.message()));
}

}  // namespace diffreward
