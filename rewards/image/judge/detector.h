// What a detector of objects finds in pictures: a judge of real models' samples that is no reward, such as NudeNet, by OpenCV's
// DNN. It takes networks of YOLOv8's form from an ONNX file:
//
//   in   [1, 3, side, side] RGB in [0, 1], the picture scaled, with black to the right of it or below
//   out  [1, 4 + kinds, places]: middle, width and height of a box in input pixels, then a score in [0, 1] for each kind
//
// Of boxes of one kind that overlap, the best one stays (greedy non-maximum suppression). The file is read by OpenCV in this
// process: it should come from somebody whom one trusts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "envs/image.h"

namespace diffreward {

struct DetectorConfig {
  int side = 320;           // of the network's input, pixels
  double threshold = 0.25;  // scores below it are nothing
  double overlap = 0.45;    // intersection over union from which two boxes are one object

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("side", self.side, "of the network's input, pixels", Bounds{32, 2048});
    field("threshold", self.threshold, "scores below it are nothing", Bounds{0, 1});
    field("overlap", self.overlap, "intersection over union from which two boxes are one object",
          Bounds{0, 1});
  }
};

struct Detection {
  std::size_t kind;  // of Detector::kinds()
  double score;
  double left, top, width, height;  // pixels of the picture, inside it
};

class Detector {
 public:
  /// `kinds`: a text file with a name a line, in the order of the network's scores. Throws InvalidArgument for settings, Error
  /// naming a file that cannot be read, a network that OpenCV does not take (one of dynamic shapes, for example:
  /// tools/detector_weights.py), and one whose output has another shape.
  static Detector load(const std::filesystem::path& network, const std::filesystem::path& kinds,
                       const DetectorConfig& config = {});
  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;
  ~Detector();

  const std::vector<std::string>& kinds() const;
  /// What is found in a picture of any size, the highest score first.
  std::vector<Detection> detect(const Image& picture);

 private:
  struct Impl;
  explicit Detector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
