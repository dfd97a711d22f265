// diffreward sd: folders of Stable Diffusion 1.x, their pictures and their latents.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agents/stable_diffusion/pipeline_trainer.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "rewards/image/image_reward.h"

namespace diffreward::cli {

struct SdInfoConfig {
  std::string model;  // folder

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("model", self.model, "folder in the layout of Python's diffusers");
  }
};

/// Which folder, and how its nets compute.
struct SdModelConfig {
  std::string model;  // folder, or sd train's
  std::string device = "cpu", type = "float32";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("model", self.model, "folder in the layout of Python's diffusers, or that of sd train");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    field("type", self.type, "of the numbers that the nets compute with",
          Choices{"float32", "bfloat16", "float16", "float64"});
  }
};

struct SdSampleConfig {
  SdModelConfig model;
  std::string prompts;  // a text, or a file of them
  int samples = 1;      // pictures of each prompt
  int batch = 1;        // pictures sampled at a time
  std::string reward;   // that steers; empty: none
  ImageSampleConfig sample;
  bool blur = true;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    SdModelConfig::visit(self.model, field);
    field("prompts", self.prompts,
          "a prompt, or a file: one a line, or a .csv table with a column named prompt");
    field("samples", self.samples, "pictures of each prompt; picture i of all has the noise of seed + i",
          Bounds{1, 1e6});
    field("batch", self.batch, "pictures sampled at a time", Bounds{1, 1024});
    field("reward", self.reward, "reward that steers, a file or sd extract's folder; empty for none");
    ImageSampleConfig::visit(self.sample, [&](const char* name, auto& value, auto&&... more) {
      if (std::string_view(name) != "seed_each")  // always
        field(name, value, std::forward<decltype(more)>(more)...);
    });
    field("blur", self.blur, "blur pictures, unless this project trained the model");
    RunConfig::visit(self.run, field);
  }
};

struct SdEncodeConfig {
  SdModelConfig model;
  std::vector<std::string> images;  // PNG
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    SdModelConfig::visit(self.model, field);
    field("images", self.images, "PNG files");
    RunConfig::visit(self.run, field);
  }
};

struct SdDecodeConfig {
  SdModelConfig model;
  std::vector<std::string> latents;  // safetensors, or folders of them
  bool blur = true;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    SdModelConfig::visit(self.model, field);
    field("latents", self.latents, "safetensors files, or folders of sd sample and sd encode");
    field("blur", self.blur, "blur pictures, unless this project trained the model");
    RunConfig::visit(self.run, field);
  }
};

struct SdTrainConfig {
  std::string images;      // image set, or folder of pictures with metadata.csv
  std::string tokenizer;   // folder; empty: learned from the captions
  int merges = 8192;       // of a learned one, at most
  std::string pretrained;  // pipeline to go on from; empty: fresh weights
  std::string features;    // weights for the perceptual term; empty: none
  PipelineConfig pipeline;
  PipelineTrainConfig train;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("images", self.images,
          "captioned pictures: an image set, or a folder with metadata.csv, columns file_name and text");
    field("tokenizer", self.tokenizer,
          "folder of CLIP's tokenizer or of a pipeline's; empty for one that is learned from the captions");
    field("merges", self.merges, "of a learned tokenizer, at most", Bounds{0, 1e5});
    field("pretrained", self.pretrained,
          "pipeline of these sizes to go on from, with its tokenizer where none is given; empty for fresh "
          "weights");
    field(
        "features", self.features,
        "weights of EfficientNet-Lite0 (tools/judge_weights.py), by whose features the autoencoder is judged "
        "beside the pixels; empty for pixels alone");
    field("pipeline", self.pipeline, "sizes of the nets");
    PipelineTrainConfig::visit(self.train, field);
    RunConfig::visit(self.run, field);
  }
};

struct SdExtractConfig {
  SdModelConfig model;
  std::string prompts;    // a file of them, or an image set's captions
  int most = 0;           // prompts; 0: all
  std::string pictures;   // captioned ones, as of sd train, that are noised beside; empty: none
  int most_pictures = 0;  // 0: all
  int shard = 16;         // chains sampled at a time, and in a file
  std::string recorded;   // sd extract's folder, whose chains are learned from; empty: chains are sampled
  TrajectoryConfig chains;
  ImageExtractConfig extract;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    SdModelConfig::visit(self.model, field);
    field("prompts", self.prompts,
          "a file of prompts: one a line, a .csv table with a column named prompt, or an image set, for its "
          "captions");
    field("most", self.most, "prompts, the first ones; 0 for all", Bounds{0, 1e7});
    field("pictures", self.pictures,
          "captioned pictures as sd train takes them, which are noised as further points to learn from; "
          "empty for none");
    field("most_pictures", self.most_pictures, "of those, the first ones; 0 for all", Bounds{0, 1e7});
    field("shard", self.shard, "chains sampled at a time, and in a file", Bounds{1, 1024});
    field("recorded", self.recorded,
          "sd extract's folder, whose chains are learned from in place of new ones of a model and prompts");
    field("chains", self.chains, "the two samplers");
    ImageExtractConfig::visit(self.extract, [&](const char* name, auto& value, auto&&... more) {
      if (std::string_view(name) != "device")  // the model's
        field(name, value, std::forward<decltype(more)>(more)...);
    });
    RunConfig::visit(self.run, field);
  }
};

StageSpec stage_of(const SdTrainConfig& config);
StageSpec stage_of(const SdExtractConfig& config);
StageSpec stage_of(const SdSampleConfig& config);
StageSpec stage_of(const SdEncodeConfig& config);
StageSpec stage_of(const SdDecodeConfig& config);

/// What describe_pipeline() tells; `problems` make the exit code 1.
Json run_sd_info(const SdInfoConfig& config);
void print_sd_info(const Json& result, std::ostream& out);
int exit_code_of_sd_info(const Json& result);
/// The folder that --model stands for: itself, or the pipeline in the folder of sd train.
std::filesystem::path pipeline_of(const SdModelConfig& model);
/// The folder as it was given, and the files of its pipeline as far as they are there.
std::vector<StageInput> model_inputs(const SdModelConfig& model);
/// Loads it; nets compute on so many threads, 0 for one per core.
StableDiffusion load_model(const SdModelConfig& model, int threads);

/// 000000.png and 000000.safetensors (agents/stable_diffusion/picture_files.h) and so on, a picture done being kept by
/// the run that resumes, and manifest.json: the program, versions, the model's files, the config, and of each picture
/// prompt, seed and hashes.
Json run_sd_sample(const SdSampleConfig& config);
/// 000000.safetensors of the first picture, and manifest.json.
Json run_sd_encode(const SdEncodeConfig& config);
/// 000000.png of the first file's first latent, and manifest.json.
Json run_sd_decode(const SdDecodeConfig& config);

/// pipeline/, a folder in diffusers' layout, and metrics.jsonl. A run that was stopped resumes.
Json run_sd_train(const SdTrainConfig& config);
/// reward.safetensors, metrics.jsonl and the chains that it learned from, chains/base-000000.safetensors and so on, of which
/// the run that resumes keeps those that are done.
Json run_sd_extract(const SdExtractConfig& config);

void sd_train_section(Page& page, std::span<const StepRecord> steps);
void sd_section(Page& page, std::span<const StepRecord> steps);

}  // namespace diffreward::cli
