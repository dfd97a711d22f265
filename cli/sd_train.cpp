// diffreward sd train: a small Stable Diffusion pipeline from captioned pictures.
#include <algorithm>
#include <optional>

#include "agents/device.h"
#include "agents/stable_diffusion/clip_tokenizer.h"
#include "cli/captioned_pictures.h"
#include "cli/command.h"
#include "cli/sd.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

}  // namespace

StageSpec stage_of(const SdTrainConfig& config) {
  StageSpec stage{.command = "sd train",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = captioned_inputs(config.images),
                  .products = {"pipeline/model_index.json", "metrics.jsonl", "checkpoint.safetensors"},
                  .extends = {"denoiser.steps", "checkpoint_every", "log_every"},
                  .continues_from = {"checkpoint.safetensors", "metrics.jsonl"},
                  .link = Link::kAgents};
  if (!config.tokenizer.empty())
    for (const char* file : {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"})
      if (fs::exists(fs::path(config.tokenizer) / file))
        stage.inputs.push_back({"tokenizer", (fs::path(config.tokenizer) / file).string(), "", file});
  if (!config.features.empty()) stage.inputs.push_back({"features", config.features, ""});
  for (StageInput input : model_inputs({.model = config.pretrained})) {
    input.option = "pretrained";
    stage.inputs.push_back(std::move(input));
  }
  return stage;
}

Json run_sd_train(const SdTrainConfig& config) {
  return run_stage(stage_of(config), [&](const fs::path& folder) {
    check_device(config.train.device);
    set_torch_threads(config.run.threads);
    const CaptionedPictures data = read_captioned(config.images, config.pipeline.image_size);
    const std::optional<StableDiffusion> pretrained =
        config.pretrained.empty()
            ? std::nullopt
            : std::optional(load_model({.model = config.pretrained, .device = config.train.device},
                                       config.run.threads));
    const ClipTokenizer tokenizer =
        !config.tokenizer.empty() ? ClipTokenizer::load(config.tokenizer)
        : pretrained ? ClipTokenizer::load(pipeline_of({.model = config.pretrained}) / "tokenizer")
                     : ClipTokenizer::learn(data.captions, config.merges, config.pipeline.text_length);
    const StableDiffusion model = train_pipeline(data, tokenizer, config.pipeline, config.train, folder,
                                                 pretrained ? &*pretrained : nullptr, config.features);
    return Json{{"pipeline", "pipeline/model_index.json"},
                {"parameters", model.parameters()},
                {"vocabulary", tokenizer.vocabulary()},
                {"images", data.captions.size()}};
  });
}

void sd_train_section(Page& page, std::span<const StepRecord> steps) {
  Table table{"", {"", "images", "steps: autoencoder, denoiser", "weights", "minutes"}, {}};
  for (const StepRecord& step : steps)
    table.rows.push_back({readable(step.name), number(step.result.at("images")),
                          concat(number(step.config.at("autoencoder").at("steps")), ", ",
                                 number(step.config.at("denoiser").at("steps"))),
                          number(step.result.at("parameters")), number(step.seconds / 60)});
  page.section("Models of pictures")
      .text("Latent diffusion: an autoencoder, then a text encoder and a U-Net that denoises its latents.")
      .table(table);
}

}  // namespace diffreward::cli
