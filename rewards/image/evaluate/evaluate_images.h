// The front of image evaluation: everything one asks of scores of labelled pictures, in one call, and as a folder to look
// at. What is scored does not matter: a reward of pictures, a judge, a cue.
//
//   <folder>/scores.csv, evaluation.json, report.html
//   <folder>/sheet.png, false_positives.png, false_negatives.png, heat_maps.png
#pragma once

#include <optional>
#include <utility>

#include "report/page.h"
#include "rewards/image/evaluate/cues.h"
#include "rewards/image/evaluate/detection.h"
#include "rewards/image/evaluate/sheets.h"

namespace diffreward {

struct ImageEvaluationConfig {
  double false_positive_rate = 0.05;         // of the threshold that is reported
  std::vector<int> precision_at = {10, 50};  // those beyond the number of pictures are left out
  int bins = 40;                             // of histograms
  int shown = 40;                            // pictures on a sheet
  SheetConfig sheets = {};
  BootstrapConfig bootstrap = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("false_positive_rate", self.false_positive_rate, "of the threshold that is reported", Bounds{0, 1});
    field("precision_at", self.precision_at, "numbers of highest scores", Bounds{1, 1e6});
    field("bins", self.bins, "of histograms", Bounds{2, 1000});
    field("shown", self.shown, "pictures on a sheet", Bounds{1, 1000});
    SheetConfig::visit(self.sheets, field);
    BootstrapConfig::visit(self.bootstrap, field);
  }
};

/// Pictures with what is known of them.
struct ImagesScored {
  std::vector<ScoredImage> rows;
  std::vector<Image> images = {};   // [rows] or empty: then no cues and no sheets
  std::vector<PixelMap> heat = {};  // [rows] or empty: where the score comes from
  std::vector<PixelMap> objects =
      {};  // [rows] or empty: where the concept is; without heat maps or these, no pointing game
};

/// The pictures of one category and label, against all of the other label.
struct CategoryScore {
  std::string category;
  bool positive = false;
  std::size_t pictures = 0;
  double flagged = 0;  ///< share at the reported threshold
  Estimate auroc;
};

struct ImageEvaluation {
  std::size_t positives = 0, negatives = 0;
  std::vector<OperatingPoint> curve;
  RocBand band;
  OperatingPoint reported;
  std::vector<std::pair<int, double>> precision;  ///< at k
  std::vector<CategoryScore> categories;          ///< positives first, then by name
  std::map<std::string, Histogram> by_label, by_sampler;
  std::vector<CueScore> cues;
  std::optional<PointingGame> pointing;
  Json json() const;  ///< without curve and histograms
};

/// Throws InvalidArgument where a label has no picture, or sizes do not fit.
ImageEvaluation evaluate_images(const ImagesScored& scored, const ImageEvaluationConfig& config = {});

/// Sections of a page: numbers, charts and sheets.
void add_sections(Page& page, const ImageEvaluation& evaluation, const ImagesScored& scored,
                  const ImageEvaluationConfig& config);
/// All of it as files; `page` may hold more already. Throws Error.
void write_image_evaluation(const std::filesystem::path& folder, Page page, const ImageEvaluation& evaluation,
                            const ImagesScored& scored, const ImageEvaluationConfig& config);

}  // namespace diffreward
