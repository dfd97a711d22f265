#include "agents/stable_diffusion/stable_diffusion.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <utility>

#include "agents/device.h"
#include "agents/guide.h"
#include "agents/stable_diffusion/safe_latent_diffusion_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

torch::ScalarType type_named(const std::string& name) {
  static const std::map<std::string, torch::ScalarType> types = {{"float32", torch::kFloat},
                                                                 {"bfloat16", torch::kBFloat16},
                                                                 {"float16", torch::kHalf},
                                                                 {"float64", torch::kDouble}};
  const auto found = types.find(name);
  require(found != types.end(), "type: expected float32, bfloat16, float16 or float64, got '", name, "'");
  return found->second;
}

/// A net from its folder: Config::read of config.json, then parameters of these names.
template <class Net, class Config, class Rename>
Net read_net(const fs::path& folder, const char* stem, const torch::Device& device, torch::ScalarType type,
             std::vector<std::string>& warnings, const Rename& rename) {
  ComponentConfig file(folder / "config.json");
  const Config config = Config::read(file);
  for (std::string& line : file.warnings()) warnings.push_back(std::move(line));
  const fs::path path = weights_in(folder, stem);
  const Safetensors weights = open_weights(path).renamed(rename);
  return Net(config, Parameters(weights, path, "", device, type));
}

NoiseSchedule noise_schedule(const SchedulerConfig& config) {
  const torch::Tensor bars = alpha_bars(config).to(torch::kDouble);
  std::vector<double> betas;
  double before = 1;
  for (std::int64_t t = 0; t < bars.size(0); ++t) {
    const double now = bars[t].item<double>();
    betas.push_back(1 - now / before);
    before = now;
  }
  return NoiseSchedule(std::move(betas));
}

/// [n or 1, ...] as [n, ...].
torch::Tensor for_each(const torch::Tensor& text, std::int64_t n, const char* name) {
  require(text.defined() && text.dim() == 3 && (text.size(0) == 1 || text.size(0) == n), name,
          ": expected the embeddings of 1 or ", n, " texts, got ",
          text.defined() ? concat(text.sizes()) : "none");
  return text.expand({n, -1, -1});
}

}  // namespace

void check_pipeline_index(const fs::path& folder, std::vector<std::string>& warnings) {
  if (fs::is_regular_file(folder))
    throw Error(
        concat(folder.string(),
               ": expected a folder in diffusers' layout, found a file; make one by Python's diffusers: "
               "StableDiffusionPipeline.from_single_file(file).save_pretrained(folder)"));
  ComponentConfig index(folder / "model_index.json");
  const auto kind = index.get<std::string>("_class_name");
  if (kind != "StableDiffusionPipeline" && kind != "StableDiffusionPipelineSafe")
    index.refuse("_class_name", "StableDiffusionPipeline or StableDiffusionPipelineSafe");
  using Names = std::vector<std::string>;
  for (const auto& [part, name] : {std::pair{"unet", "UNet2DConditionModel"},
                                   {"vae", "AutoencoderKL"},
                                   {"text_encoder", "CLIPTextModel"}})
    if (const auto found = index.get<Names>(part); found.size() != 2 || found[1] != name)
      index.refuse(part, name);
  index.ignore({"tokenizer", "scheduler", "safety_checker", "feature_extractor", "image_encoder",
                "requires_safety_checker"});
  for (std::string& line : index.warnings()) warnings.push_back(std::move(line));
}

torch::Tensor seeded_normal(std::uint64_t seed, at::IntArrayRef shape, torch::ScalarType type) {
  return torch::randn(shape, at::detail::createCPUGenerator(seed), torch::dtype(type));
}

StableDiffusion::StableDiffusion(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StableDiffusion::StableDiffusion(StableDiffusion&&) noexcept = default;
StableDiffusion& StableDiffusion::operator=(StableDiffusion&&) noexcept = default;
StableDiffusion::~StableDiffusion() = default;

StableDiffusion StableDiffusion::load(const fs::path& folder, const std::string& device,
                                      const std::string& type_name) {
  check_device(device);
  const torch::ScalarType type = type_named(type_name);
  const torch::NoGradGuard no_grad;
  std::vector<std::string> warnings;
  check_pipeline_index(folder, warnings);
  const auto same = [](const std::string& name, TensorBytes&) { return name; };
  const auto text_name = [](const std::string& name, TensorBytes&) {
    return ClipTextModel::parameter_name(name);
  };
  auto text = read_net<ClipTextModel, ClipTextConfig>(folder / "text_encoder", "model", device, type,
                                                      warnings, text_name);
  auto unet = read_net<Unet2dConditionModel, Unet2dConditionConfig>(
      folder / "unet", "diffusion_pytorch_model", device, type, warnings, same);
  auto vae = read_net<AutoencoderKl, AutoencoderKlConfig>(folder / "vae", "diffusion_pytorch_model", device,
                                                          type, warnings, AutoencoderKl::parameter_name);
  const auto agree = [&](const char* part, const char* key, std::int64_t expected, std::int64_t found) {
    if (found != expected)
      throw Error(concat((folder / part / "config.json").string(), ": ", key, ": expected ", expected,
                         ", which the other parts have, found ", found));
  };
  agree("unet", "cross_attention_dim", text.config().hidden_size, unet.config().cross_attention_dim);
  agree("unet", "in_channels", vae.config().latent_channels, unet.config().in_channels);
  agree("unet", "out_channels", vae.config().latent_channels, unet.config().out_channels);
  ComponentConfig scheduler_file(folder / "scheduler" / "scheduler_config.json");
  const SchedulerConfig scheduler = SchedulerConfig::read(scheduler_file);
  for (std::string& line : scheduler_file.warnings()) warnings.push_back(std::move(line));

  auto impl = std::make_unique<Impl>(Impl{
      .folder = folder,
      .device = device,
      .type = type,
      .text = std::move(text),
      .unet = std::move(unet),
      .vae = std::move(vae),
      .scheduler_file = scheduler_file,
      .own_scheduler = scheduler,
      .schedule = noise_schedule(scheduler),
      .warnings = std::move(warnings),
      .tokenizer = {},
  });
  if (fs::exists(folder / "tokenizer")) {
    impl->tokenizer = ClipTokenizer::load(folder / "tokenizer");
    if (impl->tokenizer->vocabulary() > impl->text.config().vocab_size ||
        impl->tokenizer->max_length() > impl->text.config().max_position_embeddings)
      throw Error(concat((folder / "tokenizer").string(), ": expected at most ",
                         impl->text.config().vocab_size, " tokens and ",
                         impl->text.config().max_position_embeddings,
                         " positions, as the text encoder has, found ", impl->tokenizer->vocabulary(),
                         " and ", impl->tokenizer->max_length()));
  }
  for (const std::string& line : impl->warnings) std::cerr << "warning: " << line << "\n";
  return StableDiffusion(std::move(impl));
}

SchedulerConfig StableDiffusion::Impl::scheduler(const std::string& kind) const {
  if (kind == "folder" || kind == own_scheduler.kind) return own_scheduler;
  ComponentConfig file = scheduler_file;
  return SchedulerConfig::read(file, kind);
}

torch::Tensor StableDiffusion::Impl::tokens(const std::vector<std::string>& texts) const {
  if (tokenizer) {
    std::vector<torch::Tensor> rows;
    for (const std::string& each : texts)
      rows.push_back(torch::tensor(tokenizer->encode(each), torch::kLong));
    return torch::stack(rows);
  }
  throw Error(concat((folder / "tokenizer").string(), ": expected a tokenizer for ", texts.size(),
                     " texts, found none"));
}

at::Tensor StableDiffusion::embed(const std::vector<std::string>& texts) const {
  require(!texts.empty(), "texts: expected at least one, got none");
  return embed_ids(impl_->tokens(texts));
}

at::Tensor StableDiffusion::embed_ids(const at::Tensor& ids) const {
  const torch::NoGradGuard no_grad;
  return impl_->text.forward(ids);
}

/// What a guide adds to a predicted noise, of its type.
torch::Tensor StableDiffusion::Impl::steering(const Guide& guide, const torch::Tensor& x_t, double timestep,
                                              double scale) const {
  const auto level = std::clamp<std::int64_t>(std::llround(timestep), 0, schedule.timesteps - 1);
  const torch::Tensor t = torch::full({1}, level, torch::dtype(torch::kLong).device(x_t.device()));
  const double noise = std::sqrt(1 - schedule.alpha_bar[static_cast<std::size_t>(level)]);
  return guide.gradient(x_t.to(torch::kFloat), t).mul(-scale * noise).to(type);
}

at::Tensor StableDiffusion::eps(const at::Tensor& latents, const at::Tensor& t,
                                const at::Tensor& text) const {
  return impl_->unet.forward(latents.to(impl_->type), t, text);
}

at::Tensor StableDiffusion::noise(int count, const ImageSampleConfig& config) const {
  validate(config);
  const int unit = factor();
  const int own = static_cast<int>(impl_->unet.config().sample_size);
  require(config.width % unit == 0 && config.height % unit == 0, "width, height: expected multiples of ",
          unit, ", got ", config.width, " and ", config.height);
  const std::int64_t h = config.height > 0 ? config.height / unit : own,
                     w = config.width > 0 ? config.width / unit : own,
                     channels = impl_->unet.config().in_channels;
  if (!config.seed_each) return seeded_normal(config.seed, {count, channels, h, w}, impl_->type).to(device());
  std::vector<torch::Tensor> each;
  for (int i = 0; i < count; ++i)
    each.push_back(
        seeded_normal(config.seed + static_cast<std::uint64_t>(i), {1, channels, h, w}, impl_->type));
  return torch::cat(each).to(device());
}

at::Tensor StableDiffusion::sample(const std::vector<std::string>& prompts, const ImageSampleConfig& config,
                                   const OnStep& on_step, const Guide* guide) const {
  const bool guided = config.guidance_scale > 1;
  return sample_embedded(
      guided ? embed({config.negative_prompt}) : at::Tensor(), embed(prompts),
      guided && config.safety.preset != "off" ? embed({config.safety.unsafe}) : at::Tensor(), config, on_step,
      {}, guide);
}

at::Tensor StableDiffusion::sample_embedded(const at::Tensor& nothing, const at::Tensor& prompt,
                                            const at::Tensor& unsafe, const ImageSampleConfig& config,
                                            const OnStep& on_step, const at::Tensor& given,
                                            const Guide* guide) const {
  const torch::NoGradGuard no_grad;
  validate(config);
  require(prompt.defined() && prompt.dim() == 3, "prompt: expected embedded texts, got none");
  const SafetyConfig safety = config.safety.resolved();
  const bool guided = config.guidance_scale > 1, safe = guided && safety.on();
  require(safe || !config.pair,
          "pair: expected safety to be on and guidance_scale above 1, got neither both");
  DiffusionScheduler chain(impl_->scheduler(config.scheduler), config.steps);
  torch::Tensor x = given.defined() ? given.to(impl_->device, impl_->type)
                                    : noise(static_cast<int>(prompt.size(0)), config);
  const std::int64_t n = x.size(0);
  std::vector<torch::Tensor> texts;
  if (guided) texts.push_back(for_each(nothing, n, "nothing"));
  texts.push_back(for_each(prompt, n, "prompt"));
  if (safe) texts.push_back(for_each(unsafe, n, "unsafe"));
  const torch::Tensor text = torch::cat(texts);
  const auto branches = static_cast<std::int64_t>(texts.size());

  x = x * chain.init_noise_sigma();
  torch::Tensor nu;
  const bool follow_safe = config.follow == "safe";
  for (const double timestep : chain.timesteps()) {
    check_interrupt();
    const torch::Tensor t = torch::full({1}, timestep, torch::dtype(torch::kFloat).device(x.device()));
    const torch::Tensor input = chain.scale_model_input(x);
    const std::vector<torch::Tensor> eps =
        impl_->unet.forward(input.repeat({branches, 1, 1, 1}), t, text).chunk(branches);
    const torch::Tensor none, &eps_nothing = guided ? eps[0] : none, &eps_prompt = guided ? eps[1] : eps[0],
                              &eps_unsafe = safe ? eps[2] : none;
    SldStep step;
    if (safe)
      step =
          sld_combine(eps_nothing, eps_prompt, eps_unsafe, nu, chain.index(), config.guidance_scale, safety);
    else
      step.eps_base = guided ? eps_nothing + config.guidance_scale * (eps_prompt - eps_nothing) : eps_prompt;
    nu = step.nu;
    if (guide != nullptr && timestep >= config.stop_guide_below)
      (safe && follow_safe ? step.eps_safe : step.eps_base) +=
          impl_->steering(*guide, input, timestep, config.guide_scale);

    DiffusionScheduler other = chain;
    const bool takes_safe = safe && follow_safe;
    const torch::Tensor after = chain.step(takes_safe ? step.eps_safe : step.eps_base, x);
    const torch::Tensor beside =
        config.pair ? other.step(takes_safe ? step.eps_base : step.eps_safe, x) : torch::Tensor();
    if (on_step)
      on_step({.index = chain.index() - 1,
               .count = static_cast<int>(chain.timesteps().size()),
               .timestep = timestep,
               .eps_nothing = eps_nothing,
               .eps_prompt = eps_prompt,
               .eps_unsafe = eps_unsafe,
               .gamma = step.gamma,
               .nu = step.nu,
               .eps_base = step.eps_base,
               .eps_safe = step.eps_safe,
               .before = x,
               .after = after,
               .after_base = !config.pair ? none
                             : takes_safe ? beside
                                          : after,
               .after_safe = !config.pair ? none
                             : takes_safe ? after
                                          : beside});
    x = after;
  }
  return x;
}

at::Tensor StableDiffusion::encode(const at::Tensor& images) const {
  const torch::NoGradGuard no_grad;
  require(images.dim() == 4 && images.size(2) % factor() == 0 && images.size(3) % factor() == 0,
          "images: expected [n, 3, height, width], multiples of ", factor(), " pixels, got ", images.sizes());
  return impl_->vae.encode(images.to(impl_->device, impl_->type) * 2 - 1)[0] *
         impl_->vae.config().scaling_factor;
}

at::Tensor StableDiffusion::decode(const at::Tensor& latents) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor z = latents.to(impl_->device, impl_->type) / impl_->vae.config().scaling_factor;
  return (impl_->vae.decode(z) / 2 + 0.5).clamp(0, 1);
}

at::Tensor StableDiffusion::bytes(const at::Tensor& images) {
  return (images.to(torch::kCPU, torch::kFloat) * 255)
      .round()
      .to(torch::kByte)
      .permute({0, 2, 3, 1})
      .contiguous();
}

at::Tensor StableDiffusion::images(const at::Tensor& bytes) {
  return bytes.permute({0, 3, 1, 2}).to(torch::kFloat) / 255;
}

int StableDiffusion::size() const {
  return static_cast<int>(impl_->unet.config().sample_size) * factor();
}

int StableDiffusion::factor() const {
  return static_cast<int>(impl_->vae.config().factor());
}
const NoiseSchedule& StableDiffusion::schedule() const {
  return impl_->schedule;
}
const std::string& StableDiffusion::device() const {
  return impl_->device;
}
const std::vector<std::string>& StableDiffusion::warnings() const {
  return impl_->warnings;
}

std::int64_t StableDiffusion::parameters() const {
  return impl_->text.parameters.count() + impl_->unet.parameters.count() + impl_->vae.parameters.count();
}

}  // namespace diffreward
