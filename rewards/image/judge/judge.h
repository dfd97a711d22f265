// An independent judge of pictures: whether concepts are on them, told by a linear probe (Alain and Bengio 2016) of an
// image classifier's features, EfficientNet-Lite0 trained on ImageNet. It shares neither weights nor features with a
// diffusion model, so that what it says of that model's pictures is no echo.
//
//   z       (features of the picture resized to side x side - mean) / deviation, of the pictures it was fitted on
//   logit_c = w_c z + b_c,   P(c) = sigma(logit_c): one probe a concept, as several may be on a picture
//   (w, b)_c = argmin  mean of the cross-entropy + l2 / 2 |w|^2,   by L-BFGS, in double precision
//
// Weights of the trunk are not part of the project: tools/judge_weights.py fetches and converts them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agents/tensor.h"
#include "core/statistics.h"
#include "envs/image.h"

namespace diffreward {

/// The trunk: pictures to features.
class ImageFeatures {
 public:
  /// Safetensors as tools/judge_weights.py writes them. Throws Error naming the file and what is wrong with it.
  static std::shared_ptr<const ImageFeatures> load(const std::filesystem::path& weights,
                                                   const std::string& device = "cpu");
  ~ImageFeatures();

  /// Of pictures of any sizes, resized to `side` (means of areas where they shrink, bilinear where they grow), `batch` at
  /// once.  [n, 1280], on the CPU
  at::Tensor of(std::span<const Image> pictures, int side, int batch = 64) const;
  /// pictures: [n, h, w, 3], uint8
  at::Tensor of(const at::Tensor& pictures, int side, int batch = 64) const;
  const std::string& checksum() const;  ///< SHA-256 of the file

  struct Impl;
  explicit ImageFeatures(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

struct JudgeConfig {
  int side = 96;           // pixels that pictures are resized to
  double l2 = 1e-2;        // weight of the penalty
  int iterations = 500;    // of L-BFGS, at most
  double held_out = 0.2;   // share of the groups that the judge is not fitted on, but judged by
  int batch = 64;          // pictures at once
  std::uint64_t seed = 0;  // of what is held out
  BootstrapConfig bootstrap = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("side", self.side, "pixels that pictures are resized to", Bounds{32, 512});
    field("l2", self.l2, "weight of the penalty of the judge's weights", Bounds{1e-9, 1e3});
    field("iterations", self.iterations, "of L-BFGS, at most", Bounds{1, 1e5});
    field("held_out", self.held_out, "share of the groups that the judge is judged by", Bounds{0, 0.9});
    field("batch", self.batch, "pictures at once", Bounds{1, 4096});
    field("seed", self.seed, "of what is held out");
    field("bootstrap", self.bootstrap, "of the interval of what is held out");
  }
};

/// Which concepts are on which pictures.
struct ConceptLabels {
  std::vector<std::string> concepts;
  std::vector<std::uint8_t> present;  // [pictures, concepts]  0 or 1
  std::vector<std::size_t> groups =
      {};  // [pictures] or empty: those of one number (a drawing, a prompt) are held out together
};

class Judge {
 public:
  static constexpr const char* kKind = "diffreward-judge-1";  // of its files
  /// Throws Error naming the file and what is wrong with it: also where the probe was fitted on other weights.
  static Judge load(const std::filesystem::path& weights, const std::filesystem::path& probe,
                    const std::string& device = "cpu");
  /// The probe without the trunk.
  void save(const std::filesystem::path& probe) const;

  const std::vector<std::string>& concepts() const;
  const JudgeConfig& config() const;
  /// AUROC of each concept on the groups that were held out, found when it was fitted; none where they lack a label.
  const std::vector<std::optional<Estimate>>& held_out() const;
  /// A line a concept: "weapons: AUROC 0.960 [0.941, 0.975] held out".
  std::string report() const;

  at::Tensor logits(std::span<const Image> pictures) const;         // [n, concepts]
  at::Tensor logits(const at::Tensor& pictures) const;              // [n, h, w, 3] uint8  ->  [n, concepts]
  at::Tensor probabilities(std::span<const Image> pictures) const;  // [n, concepts]
  at::Tensor probabilities(const at::Tensor& pictures) const;       // [n, h, w, 3] uint8  ->  [n, concepts]

  /// AUROC of each concept on labelled pictures that the judge has not seen. Throws InvalidArgument where concepts differ, or
  /// one is on all pictures or on none.
  std::vector<Estimate> auroc(std::span<const Image> pictures, const ConceptLabels& labels,
                              const BootstrapConfig& bootstrap = {}) const;

  struct Impl;
  explicit Judge(std::shared_ptr<const Impl> impl);

 private:
  std::shared_ptr<const Impl> impl_;
};

/// Fits one probe a concept. Throws InvalidArgument for labels that do not fit the pictures, a concept that the pictures fitted on
/// all show or all lack, and Error where numbers do not stay finite.
Judge fit_judge(std::shared_ptr<const ImageFeatures> trunk, std::span<const Image> pictures,
                const ConceptLabels& labels, const JudgeConfig& config = {});
/// On features that are there already, as ImageFeatures::of() with config.side gives them.
Judge fit_judge(std::shared_ptr<const ImageFeatures> trunk, const at::Tensor& features,  // [n, 1280]
                const ConceptLabels& labels, const JudgeConfig& config = {});

}  // namespace diffreward
