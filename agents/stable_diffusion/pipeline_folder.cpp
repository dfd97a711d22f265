#include "agents/stable_diffusion/pipeline_folder.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

/// What is found out piece by piece, whatever fails.
struct Findings {
  Json told = Json::object();
  std::vector<std::string> problems, warnings;

  void attempt(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  void warn(const ComponentConfig& config) {
    for (std::string& line : config.warnings()) warnings.push_back(std::move(line));
  }
};

Json weights_of(const fs::path& path,
                const std::function<std::string(const std::string&, TensorBytes&)>& name) {
  const Safetensors weights = open_weights(path).renamed(name);
  std::int64_t count = 0;
  std::size_t bytes = 0;
  std::vector<std::string> types;
  for (const auto& [unused, tensor] : weights.tensors()) {
    std::int64_t elements = 1;  // the reader has checked that this does not overflow
    for (const std::int64_t extent : tensor.shape) elements *= extent;
    count += elements;
    bytes += tensor.bytes.size();
    if (std::find(types.begin(), types.end(), tensor.dtype) == types.end()) types.push_back(tensor.dtype);
  }
  return {{"parameters", count},
          {"type", types},
          {"bytes", bytes},
          {"tensors", weights.tensors().size()},
          {"file", path.filename().string()}};
}

/// A net: its weights, then what `sizes` tells of its config. Nothing where the config is not supported.
template <class Config, class Sizes>
std::optional<Config> find_net(Findings& found, const fs::path& folder, const char* part, const char* stem,
                               const std::function<std::string(const std::string&, TensorBytes&)>& name,
                               const Sizes& sizes) {
  std::optional<Config> config;
  Json net = Json::object();
  found.attempt([&] { net = weights_of(weights_in(folder / part, stem), name); });
  found.attempt([&] {
    ComponentConfig file(folder / part / "config.json");
    config = Config::read(file);
    found.warn(file);
    net.update(sizes(*config));
  });
  if (!net.empty()) found.told["nets"][part] = net;
  return config;
}

}  // namespace

Json describe_pipeline(const fs::path& folder) {
  Findings found;
  if (!fs::is_directory(folder)) {
    if (!fs::exists(folder)) throw Error(concat(folder.string(), ": expected a folder, found nothing"));
    check_pipeline_index(folder, found.warnings);  // says how a file becomes a folder
  }
  found.told = {{"folder", folder.string()}, {"own", false}};
  found.attempt([&] {
    found.told["own"] = is_own_pipeline(folder);
    check_pipeline_index(folder, found.warnings);
  });
  const auto same = [](const std::string& name, TensorBytes&) { return name; };
  const auto text = find_net<ClipTextConfig>(
      found, folder, "text_encoder", "model",
      [](const std::string& name, TensorBytes&) { return ClipTextModel::parameter_name(name); },
      [](const ClipTextConfig& config) {
        return Json{{"layers", config.num_hidden_layers},
                    {"width", config.hidden_size},
                    {"heads", config.num_attention_heads},
                    {"vocabulary", config.vocab_size},
                    {"length", config.max_position_embeddings}};
      });
  const auto unet = find_net<Unet2dConditionConfig>(
      found, folder, "unet", "diffusion_pytorch_model", same, [](const Unet2dConditionConfig& config) {
        return Json{{"channels", config.block_out_channels},
                    {"blocks", config.down_block_types},
                    {"layers_per_block", config.layers_per_block},
                    {"heads", config.heads},
                    {"text_width", config.cross_attention_dim}};
      });
  const auto vae =
      find_net<AutoencoderKlConfig>(found, folder, "vae", "diffusion_pytorch_model",
                                    AutoencoderKl::parameter_name, [](const AutoencoderKlConfig& config) {
                                      return Json{{"channels", config.block_out_channels},
                                                  {"layers_per_block", config.layers_per_block},
                                                  {"latent_channels", config.latent_channels},
                                                  {"factor", config.factor()},
                                                  {"scaling_factor", config.scaling_factor}};
                                    });
  std::int64_t parameters = 0;
  const Json nets = found.told.value("nets", Json::object());
  for (const auto& [unused, net] : nets.items()) parameters += net.value("parameters", std::int64_t{0});
  found.told["parameters"] = parameters;
  found.attempt([&] {
    ComponentConfig file(folder / "scheduler" / "scheduler_config.json");
    const SchedulerConfig config = SchedulerConfig::read(file);
    found.warn(file);
    found.told["scheduler"] = {{"kind", config.kind},
                               {"timesteps", config.timesteps},
                               {"beta_start", config.beta_start},
                               {"beta_end", config.beta_end},
                               {"beta_schedule", config.betas.empty() ? config.beta_schedule : "given"},
                               {"spacing", config.spacing}};
  });
  found.attempt([&] {
    if (!fs::exists(folder / "tokenizer"))
      throw Error(concat((folder / "tokenizer").string(), ": expected a tokenizer, found none"));
    const ClipTokenizer tokenizer = ClipTokenizer::load(folder / "tokenizer");
    found.told["tokenizer"] = {{"vocabulary", tokenizer.vocabulary()}, {"length", tokenizer.max_length()}};
    found.told["text_length"] = tokenizer.max_length();
  });
  if (unet && vae) {
    const std::int64_t side = unet->sample_size * vae->factor();
    found.told["image"] = {side, side};
    found.told["latent"] = {unet->in_channels, unet->sample_size, unet->sample_size};
  }
  if (text && unet && text->hidden_size != unet->cross_attention_dim)
    found.problems.push_back(concat((folder / "unet" / "config.json").string(),
                                    ": cross_attention_dim: expected ", text->hidden_size,
                                    ", which the other parts have, found ", unet->cross_attention_dim));
  found.told["problems"] = found.problems;
  found.told["warnings"] = found.warnings;
  return found.told;
}

std::vector<std::string> pipeline_files(const fs::path& folder) {
  std::vector<std::string> files;
  const auto add = [&](const fs::path& file) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / file, ignored)) files.push_back(file.string());
  };
  add("model_index.json");
  add("scheduler/scheduler_config.json");
  for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
                           "special_tokens_map.json", "added_tokens.json"})
    add(fs::path("tokenizer") / name);
  for (const auto& [part, stem] : {std::pair{"text_encoder", "model"},
                                   {"unet", "diffusion_pytorch_model"},
                                   {"vae", "diffusion_pytorch_model"}}) {
    const fs::path inside(part);
    add(inside / "config.json");
    try {
      const fs::path weights = weights_in(folder / part, stem);
      add(inside / weights.filename());
      if (weights.extension() != ".json") continue;
      const Json index = read_json_object(weights), map = member<Json>(index, "weight_map");
      std::vector<std::string> shards;
      for (const auto& [unused, shard] : map.items())
        if (shard.is_string()) shards.push_back(shard.get<std::string>());
      std::sort(shards.begin(), shards.end());
      shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
      for (const std::string& shard : shards)
        if (fs::path(shard).filename() == shard) add(inside / shard);
    } catch (const Error&) {  // load() says what is missing
    }
  }
  return files;
}

bool is_own_pipeline(const fs::path& folder) {
  return read_json_object(folder / "model_index.json").contains(kOwnPipelineKey);
}

}  // namespace diffreward
