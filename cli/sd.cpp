#include "cli/sd.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include "agents/device.h"
#include "agents/stable_diffusion/picture_files.h"
#include "agents/stable_diffusion/pipeline_folder.h"
#include "cli/command.h"
#include "cli/prompts.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/progress.h"
#include "core/provenance.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kStagePipeline = "pipeline";  // in the folder of sd train
constexpr std::size_t kShown = 8;                   // pictures of a stage in a report

std::string numbered(std::size_t i) {
  char text[24];
  std::snprintf(text, sizeof text, "%06zu", i);
  return text;
}

/// A stage with the model's files as inputs.
StageSpec stage_on_model(const char* command, const Json& config, const RunConfig& run,
                         const SdModelConfig& model) {
  return {.command = command,
          .config = config,
          .folder = run.out,
          .reuse = run.reuse,
          .inputs = model_inputs(model),
          .products = {kManifest},
          .link = Link::kAgents};
}

/// What a manifest tells of program, model and config, by content: no path that a copy would change.
Json manifest_of(const StageSpec& stage, const SdModelConfig& model) {
  Json config = stage.config, files = Json::object();
  for (const char* name : {"model", "prompts", "images", "latents", "reward", "out", "threads", "reuse"})
    config.erase(name);
  const fs::path folder = pipeline_of(model);
  for (const std::string& file : pipeline_files(folder)) files[file] = sha256_of(folder / file);
  return {{"command", stage.command},
          {"version", DIFFREWARD_VERSION},
          {"commit", program_commit()},
          {"versions", picture_versions()},
          {"model", {{"own", is_own_pipeline(pipeline_of(model))}, {"files", files}}},
          {"config", config}};
}

void write_manifest(const fs::path& folder, const Json& manifest) {
  write_file(folder / kManifest, manifest.dump(2) + "\n");
}

/// Whether pictures are blurred: those of a model that somebody else trained, of which nobody here knows what it shows.
bool blurs(bool wanted, const SdModelConfig& model) {
  return wanted && !is_own_pipeline(pipeline_of(model));
}

void check_safety(const ImageSampleConfig& config) {
  const bool safe = config.safety.preset != "off";
  if (safe && config.guidance_scale <= 1)
    throw UsageError(
        concat("--guidance-scale: expected more than 1 where safety is on, got ", config.guidance_scale));
  if (!safe && config.pair) throw UsageError("--pair: expected safety to be on, got off");
}

std::vector<PictureRequest> pictures_of(const SdSampleConfig& config, const fs::path& folder) {
  std::vector<PictureRequest> wanted;
  for (const std::string& prompt : read_prompts(config.prompts))
    for (int i = 0; i < config.samples; ++i)
      wanted.push_back({prompt, config.sample.seed + wanted.size(), folder / numbered(wanted.size())});
  return wanted;
}

/// The latents that options name: files, and those in folders of ours.
std::vector<std::string> latent_files(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const std::string& path : given) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const fs::directory_entry& entry : fs::directory_iterator(path))
      if (entry.path().extension() == ".safetensors") inside.push_back(entry.path().string());
    if (inside.empty()) throw Error(concat(path, ": expected safetensors files in this folder, found none"));
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

}  // namespace

fs::path pipeline_of(const SdModelConfig& model) {
  const fs::path folder = stage_folder(model.model);
  std::error_code ignored;
  if (!fs::exists(folder / "model_index.json", ignored) && fs::exists(folder / kStagePipeline, ignored))
    return product(model.model, std::string(kStagePipeline) + "/model_index.json").parent_path();
  return folder;
}

std::vector<StageInput> model_inputs(const SdModelConfig& model) {
  std::vector<StageInput> inputs;
  const fs::path folder = pipeline_of(model);
  for (const std::string& file : pipeline_files(folder))
    inputs.push_back({"model", (folder / file).string(), "", file});
  if (inputs.empty() && !model.model.empty()) inputs.push_back({"model", model.model, "model_index.json"});
  return inputs;
}

StableDiffusion load_model(const SdModelConfig& model, int threads) {
  set_torch_threads(threads);
  return StableDiffusion::load(pipeline_of(model), model.device, model.type);
}

Json run_sd_info(const SdInfoConfig& config) {
  return describe_pipeline(pipeline_of(SdModelConfig{config.model}));
}

void print_sd_info(const Json& result, std::ostream& out) {
  Json told = result;
  for (const char* lines : {"problems", "warnings"}) told.erase(lines);
  print_result(told, out);
  for (const auto& [lines, name] : {std::pair{"warnings", "warning"}, {"problems", "problem"}})
    for (const Json& line : result.at(lines)) out << name << ": " << line.get<std::string>() << "\n";
}

int exit_code_of_sd_info(const Json& result) {
  return result.at("problems").empty() ? 0 : 1;
}

StageSpec stage_of(const SdSampleConfig& config) {
  StageSpec stage = stage_on_model("sd sample", to_json(config), config.run, config.model);
  for (const StageInput& input : prompt_inputs(config.prompts)) stage.inputs.push_back(input);
  stage.inputs.push_back({"reward", config.reward, "reward.safetensors"});
  if (!config.reward.empty()) stage.link = Link::kRewards;
  return stage;
}

Json run_sd_sample(const SdSampleConfig& config) {
  check_safety(config.sample);
  StageSpec stage = stage_of(config);
  for (const PictureRequest& request : pictures_of(config, ""))
    for (const char* ending : {".png", ".safetensors"})
      stage.products.push_back(request.stem.string() + ending);
  return run_stage(stage, [&](const fs::path& folder) {
    const std::vector<PictureRequest> wanted = pictures_of(config, folder);
    const StableDiffusion model = load_model(config.model, config.run.threads);
    const bool blur = blurs(config.blur, config.model);
    const int calls = denoising_calls(model, config.sample);
    const std::shared_ptr<const Guide> guide =
        config.reward.empty() ? nullptr
                              : log_ratio_guide(ImageReward::load(
                                    product(config.reward, "reward.safetensors"), config.model.device));
    // Batches end at the same pictures however often a run was stopped, so that the bytes are the same.
    std::vector<std::span<const PictureRequest>> batches;
    const auto size = static_cast<std::size_t>(config.batch);
    for (std::size_t begin = 0; begin < wanted.size(); begin += size)
      batches.push_back(std::span(wanted).subspan(begin, std::min(size, wanted.size() - begin)));
    std::erase_if(batches, [](const auto& batch) { return std::ranges::all_of(batch, is_sampled); });
    std::size_t left = 0;
    for (const auto& batch : batches) left += batch.size();
    {
      Progress progress("sd sample", static_cast<std::int64_t>(left) * calls, "steps");
      for (const auto& batch : batches) {
        const std::string note = concat("picture ", batch.back().stem.filename().string());
        sample_pictures(
            model, batch, config.sample, blur,
            [&](const DenoisingStep&) { progress.advance(static_cast<std::int64_t>(batch.size()), note); },
            guide.get());
      }
    }
    Json manifest = manifest_of(stage, config.model), pictures = Json::array();
    manifest["blurred"] = blur;
    for (const PictureRequest& request : wanted) {
      const std::string name = request.stem.filename().string();
      pictures.push_back({{"picture", name + ".png"},
                          {"picture_sha256", sha256_of(request.stem.string() + ".png")},
                          {"latents", name + ".safetensors"},
                          {"latents_sha256", sha256_of(request.stem.string() + ".safetensors")},
                          {"seed", request.seed},
                          {"prompt", request.prompt}});
    }
    manifest["pictures"] = pictures;
    write_manifest(folder, manifest);
    return Json{{"pictures", wanted.size()},
                {"first", numbered(0) + ".png"},
                {"manifest", kManifest},
                {"calls", calls},
                {"blurred", blur}};
  });
}

StageSpec stage_of(const SdEncodeConfig& config) {
  StageSpec stage = stage_on_model("sd encode", to_json(config), config.run, config.model);
  for (std::size_t i = 0; i < config.images.size(); ++i) {
    stage.inputs.push_back({"images", config.images[i], "", concat(i)});
    stage.products.push_back(numbered(i) + ".safetensors");
  }
  return stage;
}

Json run_sd_encode(const SdEncodeConfig& config) {
  const StageSpec stage = stage_of(config);
  return run_stage(stage, [&](const fs::path& folder) {
    const StableDiffusion model = load_model(config.model, config.run.threads);
    Json manifest = manifest_of(stage, config.model), latents = Json::array();
    Progress progress("sd encode", static_cast<std::int64_t>(config.images.size()), "pictures");
    for (std::size_t i = 0; i < config.images.size(); ++i) {
      const std::string name = numbered(i) + ".safetensors";
      encode_picture(model, config.images[i], folder / name);
      latents.push_back({{"latents", name},
                         {"latents_sha256", sha256_of(folder / name)},
                         {"picture_sha256", sha256_of(config.images[i])}});
      progress.advance();
    }
    manifest["latents"] = latents;
    write_manifest(folder, manifest);
    return Json{{"latents", latents.size()}, {"manifest", kManifest}};
  });
}

StageSpec stage_of(const SdDecodeConfig& config) {
  StageSpec stage = stage_on_model("sd decode", to_json(config), config.run, config.model);
  const std::vector<std::string> files = latent_files(config.latents);
  for (std::size_t i = 0; i < files.size(); ++i)
    stage.inputs.push_back({"latents", files[i], "", numbered(i)});
  return stage;
}

Json run_sd_decode(const SdDecodeConfig& config) {
  const StageSpec stage = stage_of(config);
  return run_stage(stage, [&](const fs::path& folder) {
    const StableDiffusion model = load_model(config.model, config.run.threads);
    const bool blur = blurs(config.blur, config.model);
    const std::vector<std::string> files = latent_files(config.latents);
    Json manifest = manifest_of(stage, config.model), pictures = Json::array();
    manifest["blurred"] = blur;
    Progress progress("sd decode", static_cast<std::int64_t>(files.size()), "files");
    for (const std::string& file : files) {
      for (const Image& image : decode_latents(model, file, blur)) {
        const std::string name = numbered(pictures.size()) + ".png";
        write_png(folder / name, image);
        pictures.push_back({{"picture", name},
                            {"picture_sha256", sha256_of(folder / name)},
                            {"latents_sha256", sha256_of(file)}});
      }
      progress.advance();
    }
    manifest["pictures"] = pictures;
    write_manifest(folder, manifest);
    return Json{{"pictures", pictures.size()},
                {"first", numbered(0) + ".png"},
                {"manifest", kManifest},
                {"blurred", blur}};
  });
}

void sd_section(Page& page, std::span<const StepRecord> steps) {
  for (const StepRecord& step : steps) {
    std::vector<Picture> pictures;
    for (std::size_t i = 0; i < kShown && step.has_picture(numbered(i) + ".png"); ++i)
      pictures.push_back({step.picture(numbered(i) + ".png"), concat("picture ", i)});
    page.section(concat("Stable Diffusion: ", readable(step.name)))
        .text(concat("Prompts, seeds and hashes: `", (step.folder.filename() / kManifest).string(), "`.",
                     step.result.value("blurred", false) ? " The pictures are blurred." : ""));
    if (!pictures.empty()) page.figures(pictures);
  }
}

}  // namespace diffreward::cli
