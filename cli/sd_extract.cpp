// diffreward sd extract: the relative reward of Safe Latent Diffusion over the Stable Diffusion that it guides.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "agents/device.h"
#include "agents/stable_diffusion/picture_files.h"
#include "agents/stable_diffusion/pipeline_folder.h"
#include "cli/captioned_pictures.h"
#include "cli/command.h"
#include "cli/prompts.h"
#include "cli/sd.h"
#include "core/format.h"
#include "core/hash.h"
#include "core/progress.h"
#include "core/statistics.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReward = "reward.safetensors";
constexpr const char* kPictures = "pictures";  // noised ones, beside chains that follow base and safe

/// The chains of one side that one file holds.
struct Shard {
  std::string follow;
  std::size_t begin, count;  // prompts
  std::string name() const {
    char text[64];
    std::snprintf(text, sizeof text, "chains/%s-%06zu.safetensors", follow.c_str(), begin);
    return text;
  }
};

std::vector<Shard> shards_of(const SdExtractConfig& config, std::size_t prompts, std::size_t pictures) {
  std::vector<Shard> shards;
  const auto most = static_cast<std::size_t>(config.shard);
  for (const auto& [follow, count] : {std::pair{"base", prompts}, {"safe", prompts}, {kPictures, pictures}})
    for (std::size_t begin = 0; begin < count; begin += most)
      shards.push_back({follow, begin, std::min(most, count - begin)});
  return shards;
}

std::vector<std::string> prompts_of(const SdExtractConfig& config) {
  std::vector<std::string> prompts = read_prompts(config.prompts);
  if (config.most > 0 && prompts.size() > static_cast<std::size_t>(config.most))
    prompts.resize(static_cast<std::size_t>(config.most));
  return prompts;
}

/// Says what is left to do before hours are spent on it.
void tell_cost(const StableDiffusion& model, const SdExtractConfig& config, std::int64_t chains, int calls) {
  constexpr int kBranches = 3;
  Progress::line(
      concat("sd extract: ", kBranches * chains * calls, " predictions of the U-Net are left, one at a time ",
             format_number(seconds_per_step(model, config.chains) * static_cast<double>(chains * calls) / 60),
             " minutes"));
}

/// How many pictures are noised.
std::size_t pictures_of(const SdExtractConfig& config) {
  if (config.pictures.empty()) return 0;
  const std::size_t all = count_captioned(config.pictures);
  return config.most_pictures > 0 ? std::min(all, static_cast<std::size_t>(config.most_pictures)) : all;
}

CaptionedPictures read_pictures(const StableDiffusion& model, const SdExtractConfig& config) {
  const int width = config.chains.width > 0 ? config.chains.width : model.size(),
            height = config.chains.height > 0 ? config.chains.height : model.size();
  require(width == height, "--pictures: expected chains of square pictures, got ", width, " x ", height);
  return read_captioned(config.pictures, width);
}

/// Samples the chains that are not there yet, and noises the pictures.
void sample_chains(const StableDiffusion& model, const SdExtractConfig& config,
                   const std::vector<std::string>& prompts, const fs::path& folder) {
  std::vector<Shard> left = shards_of(config, prompts.size(), pictures_of(config));
  std::erase_if(left, [&](const Shard& shard) { return fs::exists(folder / shard.name()); });
  if (left.empty()) return;
  fs::create_directories(folder / "chains");
  const int calls = denoising_calls(model, config.chains.sample("base"));
  std::int64_t chains = 0;
  for (const Shard& shard : left) chains += static_cast<std::int64_t>(shard.count);
  tell_cost(model, config, chains, calls);
  const bool noises = std::ranges::any_of(left, [](const Shard& shard) { return shard.follow == kPictures; });
  const CaptionedPictures pictures = noises ? read_pictures(model, config) : CaptionedPictures{};
  Progress progress("sample chains", chains * calls, "steps");
  for (const Shard& shard : left) {
    if (shard.follow == kPictures) {
      record_noised_pictures(model, pictures, shard.begin, shard.count, config.chains, folder / shard.name());
      progress.advance(static_cast<std::int64_t>(shard.count) * calls, concat("pictures ", shard.begin));
      continue;
    }
    record_trajectories(
        model, std::span(prompts).subspan(shard.begin, shard.count), config.chains.seed + shard.begin,
        config.chains, shard.follow, folder / shard.name(), [&](const DenoisingStep&) {
          progress.advance(static_cast<std::int64_t>(shard.count), concat(shard.follow, " ", shard.begin));
        });
  }
}

/// The chains of one side in a folder, in order; none where there are none.
std::vector<fs::path> files_of(const fs::path& folder, const std::string& follow) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "chains", ignored))
    if (entry.path().filename().string().starts_with(follow + "-")) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Trajectories chains_of(const fs::path& folder, const std::string& follow) {
  const std::vector<fs::path> files = files_of(folder, follow);
  if (files.empty())
    throw Error(concat((folder / "chains").string(), ": expected chains of ", follow, ", found none"));
  return Trajectories::open(files);
}

}  // namespace

StageSpec stage_of(const SdExtractConfig& config) {
  StageSpec stage{.command = "sd extract",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = model_inputs(config.model),
                  .products = {kReward, "metrics.jsonl"},
                  .link = Link::kRewards};
  for (const StageInput& input : prompt_inputs(config.prompts)) stage.inputs.push_back(input);
  if (!config.pictures.empty())
    for (StageInput input : captioned_inputs(config.pictures)) {
      input.option = "pictures";
      stage.inputs.push_back(std::move(input));
    }
  stage.inputs.push_back({"recorded", config.recorded, kReward});
  return stage;
}

Json run_sd_extract(const SdExtractConfig& given) {
  SdExtractConfig config = given;
  config.extract.device = config.model.device;
  validate(config.extract);
  validate(config.chains);
  const bool fresh = config.recorded.empty();
  for (const auto& [option, text] : {std::pair{"--model", config.model.model}, {"--prompts", config.prompts}})
    if (fresh && text.empty()) throw UsageError(concat("sd extract: ", option, " is missing"));
  for (const auto& [option, text] : {std::pair{"--model", config.model.model},
                                     {"--prompts", config.prompts},
                                     {"--pictures", config.pictures}})
    if (!fresh && !text.empty())
      throw UsageError(concat(option, ": expected none beside --recorded, whose chains are there"));
  const StageSpec stage = stage_of(given);
  return run_stage(stage, [&](const fs::path& folder) {
    Json files = Json::object();
    if (fresh) {
      const std::vector<std::string> prompts = prompts_of(config);
      const StableDiffusion model = load_model(config.model, config.run.threads);
      if (config.extract.read_t >= model.schedule().timesteps)
        throw UsageError(concat("--read-t: expected a timestep below ", model.schedule().timesteps, ", got ",
                                config.extract.read_t));
      sample_chains(model, config, prompts, folder);
      for (const std::string& file : pipeline_files(pipeline_of(config.model)))
        files[file] = sha256_of(pipeline_of(config.model) / file);
    } else {
      set_torch_threads(config.run.threads);
      const fs::path recorded = product(config.recorded, kReward);
      files = ImageReward::load(recorded)->provenance().at("model");
    }
    const fs::path chains = fresh ? folder : product(config.recorded, kReward).parent_path();
    const Trajectories safe = chains_of(chains, "safe"), base = chains_of(chains, "base");
    const std::vector<fs::path> noised = files_of(chains, kPictures);
    const std::optional<Trajectories> pictures =
        noised.empty() ? std::nullopt : std::optional(Trajectories::open(noised));
    const auto reward =
        extract_image_reward(safe, base, config.extract, folder, pictures ? &*pictures : nullptr);
    reward->provenance()["model"] = files;
    reward->save(folder / kReward);
    Json field = Json::array();
    for (const FieldReport& at : reward->field_report()) field.push_back(at.json());
    const auto doubles = [](const std::vector<float>& of) {
      return std::vector<double>(of.begin(), of.end());
    };
    Json result = {
        {"reward", kReward},
        {"chains", safe.count() + base.count()},
        {"pictures", pictures ? pictures->count() : 0},
        {"separates_samplers", auroc(doubles(reward->safe_scores()), doubles(reward->base_scores()))}};
    if (!field.empty()) result["field"] = field;
    return result;
  });
}

}  // namespace diffreward::cli
