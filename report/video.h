// Pictures as a film (MP4, H.264 where the codec is to be had, else MPEG-4), through OpenCV.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "envs/image.h"

namespace diffreward {

/// A picture with its name in a bar above.
Image captioned(const Image& image, const std::string& name);

class Video {
 public:
  /// Frames of this size, even numbers of pixels, so many a second. Throws InvalidArgument for other sizes and rates, and
  /// Error where OpenCV has no encoder.
  Video(const std::filesystem::path& path, int width, int height, double frames_per_second);
  ~Video();  ///< an unfinished film leaves nothing
  Video(const Video&) = delete;
  Video& operator=(const Video&) = delete;

  /// Throws InvalidArgument for a picture of another size.
  void add(const Image& frame);
  /// Completes the file, under its name. Throws Error where there is no frame, or it cannot be written.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
