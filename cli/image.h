// diffreward image: what a reward of latents makes of pictures.
#pragma once

#include <string>
#include <vector>

#include "cli/sd.h"
#include "datasets/image_set.h"
#include "envs/image.h"
#include "rewards/image/diffusion_classifier.h"
#include "rewards/image/evaluate/evaluate_images.h"
#include "rewards/image/judge/detector.h"
#include "rewards/image/judge/judge.h"

namespace diffreward::cli {

/// Which pictures, and by which reward through which autoencoder.
struct ImageScoreConfig {
  std::vector<std::string> images;  // PNG and JPEG files, folders of them
  std::string reward;
  SdModelConfig model;
  std::string reference;              // folder of harmless pictures; empty: the safe sampler's
  double false_positive_rate = 0.05;  // share of the reference that is flagged
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("images", self.images, "PNG and JPEG files, or folders of them");
    field("reward", self.reward, "reward file or sd extract's folder");
    SdModelConfig::visit(self.model, field);
    field("reference", self.reference,
          "harmless pictures, of which a share is flagged: a folder; empty for the safe sampler's own");
    field("false_positive_rate", self.false_positive_rate, "that share", Bounds{0, 1});
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct ImageReportConfig {
  ImageScoreConfig score;
  std::string labels;  // .csv: file_name, label (0 or 1)
  ImageEvaluationConfig evaluation;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    ImageScoreConfig::visit(self.score, [&](const char* name, auto& value, auto&&... more) {
      if (std::string_view(name) != "threads" && std::string_view(name) != "false_positive_rate")
        field(name, value, std::forward<decltype(more)>(more)...);
    });
    field("labels", self.labels,
          "a .csv table with columns file_name and label, 1 for what should be flagged");
    field("evaluation", self.evaluation, "what is told of them");
    RunConfig::visit(self.run, field);
  }
};

struct ImageDetectConfig {
  std::vector<std::string> images;  // PNG and JPEG files, folders of them
  std::string detector;             // ONNX file
  std::string kinds;                // a name a line; empty: the detector's name with .txt behind it
  std::vector<std::string> wanted;  // kinds that count; empty: all
  std::string table;                // .csv to write; empty: none
  DetectorConfig settings;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("images", self.images, "PNG and JPEG files, or folders of them");
    field("detector", self.detector,
          "network of YOLOv8's form in an ONNX file, as tools/detector_weights.py writes one");
    field("kinds", self.kinds,
          "text file of its kinds, a line each; empty for the detector's name with .txt behind it");
    field("wanted", self.wanted, "kinds that make a picture's label 1; empty for all");
    field("table", self.table,
          "a .csv table to write, of file_name and label, as image report takes it; empty for none");
    DetectorConfig::visit(self.settings, field);
  }
};

struct ImageJudgeConfig {
  std::string weights;  // of the trunk, by tools/judge_weights.py
  std::string scenes;   // image set to fit on
  std::string unseen;   // image set to judge the judge by; empty: none
  std::vector<std::string> concepts = {"weapons", "death", "substances", "animals", "food"};
  JudgeConfig judge;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("weights", self.weights, "of the trunk, as tools/judge_weights.py writes them");
    field("scenes", self.scenes, "image set that it is fitted on");
    field("unseen", self.unseen, "image set that it is judged by besides; empty for none");
    field("concepts", self.concepts, "that it tells");
    field("judge", self.judge, "how it is fitted");
    RunConfig::visit(self.run, field);
  }
};

struct ImageEvaluateConfig {
  SdModelConfig model;
  std::vector<std::string> rewards;   // sd extract's folders or reward files
  std::vector<std::string> concepts;  // that each is to be about, in the same order
  std::vector<std::string> scenes;    // labelled image sets
  std::vector<std::string>
      samples;  // sd sample's folders: base, safe and steered ones, of the same prompts and seeds
  std::vector<std::string>
      samplers;  // of each: base, safe, ... ; the first is what the others are compared with
  std::string judge, judge_weights;
  std::string companion = "animals";  // harmless concept that is to be kept
  std::vector<int> timesteps;         // at which the first reward is asked of the first image set as well
  int classified = 0;  // pictures of the first image set that the diffusion classifier looks at
  DiffusionClassifierConfig classifier;
  ImageEvaluationConfig evaluation;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    SdModelConfig::visit(self.model, field);
    field("rewards", self.rewards, "rewards, by file or sd extract's folder; the first has the pictures");
    field("concepts", self.concepts, "that each reward is to be about, as image sets name them");
    field("scenes", self.scenes, "labelled image sets: generate --env EmojiScenes-64");
    field("samples", self.samples, "sd sample's folders, of the same prompts and seeds");
    field("samplers", self.samplers, "what each shows; the first is compared with the others");
    field("judge", self.judge, "image judge's folder, whose word is taken for what samples show");
    field("judge_weights", self.judge_weights, "of its trunk, as tools/judge_weights.py writes them");
    field("companion", self.companion, "harmless concept that is to be kept in them");
    field("timesteps", self.timesteps,
          "timesteps at which the first reward is asked of the first image set besides", Bounds{0, 10000});
    field("classified", self.classified,
          "pictures of the first image set that the diffusion classifier looks at, to compare with",
          Bounds{0, 1e7});
    field("classifier", self.classifier, "the diffusion classifier");
    field("evaluation", self.evaluation, "what is told of scores");
    RunConfig::visit(self.run, field);
  }
};

/// The pictures of a set.
std::vector<Image> images_of(const ImageSet& set);

StageSpec stage_of(const ImageReportConfig& config);
StageSpec stage_of(const ImageJudgeConfig& config);
StageSpec stage_of(const ImageEvaluateConfig& config);

/// `pictures`, each with file, score and whether it is flagged, in the order given; `unreadable`, a line each.
Json run_image_score(const ImageScoreConfig& config);
/// The same, what is paid least first.
Json run_image_rank(const ImageScoreConfig& config);
void print_image_scores(const Json& result, std::ostream& out);
/// 0 where all pictures could be read.
int exit_code_of_image_scores(const Json& result);
/// `pictures`, each with file, label and what was `found`: kind, score, box (left, top, width, height in pixels);
/// `unreadable`, a line each.
Json run_image_detect(const ImageDetectConfig& config);
void print_image_detections(const Json& result, std::ostream& out);
/// scores.csv, sheets, and, with labels, everything that evaluate_images() tells, as report.html.
Json run_image_report(const ImageReportConfig& config);
/// judge.safetensors
Json run_image_judge(const ImageJudgeConfig& config);
/// evaluation.json and, of each image set, a folder of sheets and its report.
Json run_image_evaluate(const ImageEvaluateConfig& config);

void image_section(Page& page, std::span<const StepRecord> steps);

}  // namespace diffreward::cli
