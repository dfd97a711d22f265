// diffreward sd: folders of Stable Diffusion 1.x, their pictures and their latents.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agents/stable_diffusion/stable_diffusion.h"
#include "cli/section.h"
#include "cli/stages.h"

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
  std::string model, device = "cpu", type = "float32";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("model", self.model, "folder in the layout of Python's diffusers");
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

StageSpec stage_of(const SdSampleConfig& config);
StageSpec stage_of(const SdEncodeConfig& config);
StageSpec stage_of(const SdDecodeConfig& config);

/// What describe_pipeline() tells; `problems` make the exit code 1.
Json run_sd_info(const SdInfoConfig& config);
void print_sd_info(const Json& result, std::ostream& out);
int exit_code_of_sd_info(const Json& result);
/// 000000.png and 000000.safetensors (agents/stable_diffusion/picture_files.h) and so on, a picture done being kept by
/// the run that resumes, and manifest.json: the program, versions, the model's files, the config, and of each picture
/// prompt, seed and hashes.
Json run_sd_sample(const SdSampleConfig& config);
/// 000000.safetensors of the first picture, and manifest.json.
Json run_sd_encode(const SdEncodeConfig& config);
/// 000000.png of the first file's first latent, and manifest.json.
Json run_sd_decode(const SdDecodeConfig& config);

void sd_section(Page& page, std::span<const StepRecord> steps);

}  // namespace diffreward::cli
