#include "agents/stable_diffusion/pipeline_torch.h"

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/pipeline_folder.h"
#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

// whose layout is written
constexpr const char* kDiffusers = "0.42.1";
constexpr const char* kTransformers = "5.23.0";

std::vector<std::int64_t> wide(const std::vector<int>& values) {
  return {values.begin(), values.end()};
}

void check_channels(const char* name, const std::vector<int>& channels, const char* divisor_name,
                    int divisor) {
  require(!channels.empty() && channels.size() <= 8, name, ": expected 1 to 8 resolutions, got ",
          channels.size());
  for (const int each : channels)
    require(each % divisor == 0, name, ": expected multiples of ", divisor_name, " ", divisor, ", got ",
            each);
}

std::vector<std::string> repeated(std::size_t count, const char* name) {
  return std::vector<std::string>(count, name);
}

Json json_of(const AutoencoderKlConfig& config, double scaling_factor, std::int64_t sample_size) {
  const std::size_t levels = config.block_out_channels.size();
  return {{"_class_name", "AutoencoderKL"},
          {"_diffusers_version", kDiffusers},
          {"act_fn", "silu"},
          {"block_out_channels", config.block_out_channels},
          {"down_block_types", repeated(levels, "DownEncoderBlock2D")},
          {"force_upcast", true},
          {"in_channels", config.in_channels},
          {"latent_channels", config.latent_channels},
          {"latents_mean", nullptr},
          {"latents_std", nullptr},
          {"layers_per_block", config.layers_per_block},
          {"mid_block_add_attention", config.mid_block_add_attention},
          {"norm_num_groups", config.norm_num_groups},
          {"out_channels", config.out_channels},
          {"sample_size", sample_size},
          {"scaling_factor", scaling_factor},
          {"shift_factor", nullptr},
          {"up_block_types", repeated(levels, "UpDecoderBlock2D")},
          {"use_post_quant_conv", config.use_post_quant_conv},
          {"use_quant_conv", config.use_quant_conv}};
}

Json json_of(const Unet2dConditionConfig& config) {
  Json out = {{"_class_name", "UNet2DConditionModel"},
              {"_diffusers_version", kDiffusers},
              {"act_fn", "silu"},
              {"addition_embed_type_num_heads", 64},
              {"attention_head_dim", config.heads},
              {"attention_type", "default"},
              {"block_out_channels", config.block_out_channels},
              {"conv_in_kernel", 3},
              {"conv_out_kernel", 3},
              {"cross_attention_dim", config.cross_attention_dim},
              {"down_block_types", config.down_block_types},
              {"downsample_padding", 1},
              {"dropout", 0.0},
              {"flip_sin_to_cos", config.flip_sin_to_cos},
              {"freq_shift", config.freq_shift},
              {"in_channels", config.in_channels},
              {"layers_per_block", config.layers_per_block},
              {"mid_block_scale_factor", 1},
              {"mid_block_type", "UNetMidBlock2DCrossAttn"},
              {"norm_eps", config.norm_eps},
              {"norm_num_groups", config.norm_num_groups},
              {"out_channels", config.out_channels},
              {"resnet_out_scale_factor", 1.0},
              {"resnet_time_scale_shift", "default"},
              {"sample_size", config.sample_size},
              {"time_embedding_type", "positional"},
              {"transformer_layers_per_block", config.transformer_layers_per_block},
              {"up_block_types", config.up_block_types},
              {"use_linear_projection", config.use_linear_projection}};
  for (const char* key :
       {"addition_embed_type", "addition_time_embed_dim", "class_embed_type", "cross_attention_norm",
        "encoder_hid_dim", "encoder_hid_dim_type", "mid_block_only_cross_attention", "num_attention_heads",
        "num_class_embeds", "projection_class_embeddings_input_dim", "reverse_transformer_layers_per_block",
        "time_cond_proj_dim", "time_embedding_act_fn", "time_embedding_dim", "timestep_post_act"})
    out[key] = nullptr;
  for (const char* key : {"center_input_sample", "class_embeddings_concat", "dual_cross_attention",
                          "only_cross_attention", "resnet_skip_time_act", "upcast_attention"})
    out[key] = false;
  return out;
}

Json json_of(const ClipTextConfig& config, const ClipTokenizer& tokenizer) {
  const std::vector<std::int64_t> nothing = tokenizer.with_max_length(3).encode("");  // begin, end, padding
  return {{"architectures", {"CLIPTextModel"}},
          {"attention_dropout", 0.0},
          {"bos_token_id", nothing[0]},
          {"dtype", "float32"},
          {"eos_token_id", nothing[1]},
          {"hidden_act", config.hidden_act},
          {"hidden_size", config.hidden_size},
          {"initializer_factor", 1.0},
          {"initializer_range", 0.02},
          {"intermediate_size", config.intermediate_size},
          {"layer_norm_eps", config.layer_norm_eps},
          {"max_position_embeddings", config.max_position_embeddings},
          {"model_type", "clip_text_model"},
          {"num_attention_heads", config.num_attention_heads},
          {"num_hidden_layers", config.num_hidden_layers},
          {"pad_token_id", nothing[2]},
          {"projection_dim", 512},
          {"transformers_version", kTransformers},
          {"vocab_size", config.vocab_size}};
}

/// As published with SD 1.5.
Json scheduler_json(const std::string& kind) {
  const SchedulerConfig config;
  Json out = {{"_class_name", kind == "ddim" ? "DDIMScheduler" : "PNDMScheduler"},
              {"_diffusers_version", kDiffusers},
              {"beta_end", config.beta_end},
              {"beta_schedule", config.beta_schedule},
              {"beta_start", config.beta_start},
              {"clip_sample", false},
              {"num_train_timesteps", config.timesteps},
              {"prediction_type", "epsilon"},
              {"set_alpha_to_one", config.set_alpha_to_one},
              {"skip_prk_steps", true},
              {"steps_offset", 1},
              {"timestep_spacing", config.spacing},
              {"trained_betas", nullptr}};
  return out;
}

Json index_json(const std::string& kind) {
  Json out = {{"_class_name", "StableDiffusionPipeline"},
              {"_diffusers_version", kDiffusers},
              {kOwnPipelineKey, DIFFREWARD_VERSION},
              {"requires_safety_checker", false}};
  using Names = std::vector<std::string>;
  for (const char* none : {"feature_extractor", "image_encoder", "safety_checker"})
    out[none] = {nullptr, nullptr};
  out["scheduler"] = Names{"diffusers", kind == "ddim" ? "DDIMScheduler" : "PNDMScheduler"};
  out["text_encoder"] = Names{"transformers", "CLIPTextModel"};
  out["tokenizer"] = Names{"transformers", "CLIPTokenizer"};
  out["unet"] = Names{"diffusers", "UNet2DConditionModel"};
  out["vae"] = Names{"diffusers", "AutoencoderKL"};
  return out;
}

void write_json(const fs::path& path, const Json& json) {
  write_file(path, json.dump(2) + "\n");
}

void write_weights(const fs::path& path, const Parameters& parameters, const std::string& prefix = "") {
  NamedTensors tensors;
  for (const auto& [name, parameter] : parameters.named()) tensors[prefix + name] = parameter;
  save_tensors(path, tensors, {{"format", "pt"}});  // which transformers asks for
}

}  // namespace

void check_pipeline(const PipelineConfig& config) {
  validate(config);
  check_channels("vae_channels", config.vae_channels, "vae_groups", config.vae_groups);
  check_channels("unet_channels", config.unet_channels, "unet_groups", config.unet_groups);
  check_channels("unet_channels", config.unet_channels, "unet_heads", config.unet_heads);
  require(config.unet_channels[0] % 2 == 0, "unet_channels: expected an even number first, got ",
          config.unet_channels[0]);
  require(config.unet_attention.size() == config.unet_channels.size(), "unet_attention: expected ",
          config.unet_channels.size(), " numbers, one for each of unet_channels, got ",
          config.unet_attention.size());
  require(config.text_width % config.text_heads == 0, "text_width: expected a multiple of text_heads ",
          config.text_heads, ", got ", config.text_width);
  const int unit = 1 << (config.vae_channels.size() + config.unet_channels.size() - 2);
  require(config.image_size % unit == 0, "image_size: expected a multiple of ", unit,
          ", which both nets halve to a whole number, got ", config.image_size);
}

AutoencoderKlConfig autoencoder_config(const PipelineConfig& config) {
  AutoencoderKlConfig out;
  out.latent_channels = config.latent_channels;
  out.block_out_channels = wide(config.vae_channels);
  out.layers_per_block = config.vae_layers;
  out.norm_num_groups = config.vae_groups;
  out.scaling_factor = 1;  // not known yet
  return out;
}

ClipTextConfig text_config(const PipelineConfig& config, int vocabulary) {
  ClipTextConfig out;
  out.vocab_size = vocabulary;
  out.max_position_embeddings = config.text_length;
  out.hidden_size = config.text_width;
  out.intermediate_size = 4 * config.text_width;
  out.num_hidden_layers = config.text_layers;
  out.num_attention_heads = config.text_heads;
  return out;
}

Unet2dConditionConfig unet_config(const PipelineConfig& config) {
  Unet2dConditionConfig out;
  const std::size_t levels = config.unet_channels.size();
  out.sample_size = config.image_size >> (config.vae_channels.size() - 1);
  out.in_channels = out.out_channels = config.latent_channels;
  out.down_block_types.clear();
  out.up_block_types.clear();
  for (std::size_t i = 0; i < levels; ++i) {
    out.down_block_types.emplace_back(config.unet_attention[i] != 0 ? "CrossAttnDownBlock2D" : "DownBlock2D");
    out.up_block_types.emplace_back(config.unet_attention[levels - 1 - i] != 0 ? "CrossAttnUpBlock2D"
                                                                               : "UpBlock2D");
  }
  out.block_out_channels = wide(config.unet_channels);
  out.layers_per_block = config.unet_layers;
  out.norm_num_groups = config.unet_groups;
  out.cross_attention_dim = config.text_width;
  out.heads = std::vector<std::int64_t>(levels, config.unet_heads);
  return out;
}

PromptedUnet::PromptedUnet(const PipelineConfig& config, int vocabulary, Seed seed,
                           const torch::Device& device)
    : parameters(seed, device),
      text(text_config(config, vocabulary), parameters.part("text_encoder")),
      unet(unet_config(config), parameters.part("unet")) {
  parameters.adopt("text_encoder", text.parameters);
  parameters.adopt("unet", unet.parameters);
}

torch::Tensor perceptual_distance(const EfficientNetLite0& net, const torch::Tensor& a,
                                  const torch::Tensor& b) {
  constexpr double kHalfRange = 127.5, kSmallest = 1e-16;
  const auto of = [&](const torch::Tensor& image) {
    std::vector<torch::Tensor> maps = net.maps((image + 1) * kHalfRange);
    for (torch::Tensor& map : maps) map = map / (map.square().sum(1, /*keepdim=*/true) + kSmallest).sqrt();
    return maps;
  };
  const std::vector<torch::Tensor> of_a = of(a), of_b = of(b);
  torch::Tensor sum = torch::zeros({}, a.options());
  for (std::size_t i = 0; i < of_a.size(); ++i) sum = sum + (of_a[i] - of_b[i]).square().sum(1).mean();
  return sum / static_cast<double>(of_a.size());
}

AutoencoderLoss autoencoder_loss(const AutoencoderKl& net, const torch::Tensor& image,
                                 const torch::Tensor& noise, double kl_weight,
                                 const EfficientNetLite0* features, double perceptual_weight) {
  const torch::Tensor moments = net.encode(image);
  const torch::Tensor mean = moments[0], logvar = moments[1];
  const torch::Tensor z = mean + (logvar / 2).exp() * noise;
  const torch::Tensor decoded = net.decode(z), l1 = (decoded - image).abs().mean();
  const torch::Tensor kl =
      (mean.square() + logvar.exp() - 1 - logvar).sum() / (2.0 * static_cast<double>(image.numel()));
  const torch::Tensor plain = l1 + kl_weight * kl;
  if (features == nullptr) return {plain, l1, kl, {}};
  const torch::Tensor perceptual = perceptual_distance(*features, decoded, image);
  return {plain + perceptual_weight * perceptual, l1, kl, perceptual};
}

void write_pipeline(const fs::path& folder, const AutoencoderKl& vae, double scaling_factor,
                    const ClipTextModel& text, const Unet2dConditionModel& unet,
                    const ClipTokenizer& tokenizer, const std::string& scheduler) {
  const char* const weights = "diffusion_pytorch_model.safetensors";
  write_weights(folder / "vae" / weights, vae.parameters);
  write_json(folder / "vae" / "config.json",
             json_of(vae.config(), scaling_factor, unet.config().sample_size * vae.config().factor()));
  // under the names that every version of transformers reads
  write_weights(folder / "text_encoder" / "model.safetensors", text.parameters, "text_model.");
  write_json(folder / "text_encoder" / "config.json", json_of(text.config(), tokenizer));
  write_weights(folder / "unet" / weights, unet.parameters);
  write_json(folder / "unet" / "config.json", json_of(unet.config()));
  tokenizer.save(folder / "tokenizer");
  write_json(folder / "scheduler" / "scheduler_config.json", scheduler_json(scheduler));
  write_json(folder / "model_index.json", index_json(scheduler));
}

}  // namespace diffreward
