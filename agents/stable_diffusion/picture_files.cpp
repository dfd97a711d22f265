#include "agents/stable_diffusion/picture_files.h"

#include <torch/torch.h>

#include <algorithm>

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"
#include "envs/blur.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr double kBlur = 1.0 / 24;           // sigma, of the shorter side
constexpr std::int64_t kLargestSide = 1024;  // of latents

fs::path with(const fs::path& stem, const char* ending) {
  return stem.string() + ending;
}

std::vector<Image> images_of(const torch::Tensor& bytes) {
  std::vector<Image> images;
  const auto height = static_cast<int>(bytes.size(1)), width = static_cast<int>(bytes.size(2));
  const std::int64_t each = bytes[0].numel();
  for (std::int64_t i = 0; i < bytes.size(0); ++i) {
    const std::uint8_t* begin = bytes.data_ptr<std::uint8_t>() + i * each;
    images.push_back({width, height, {begin, begin + each}});
  }
  return images;
}

Image picture_of(const StableDiffusion& model, const torch::Tensor& latents, bool blur) {
  const Image image = images_of(StableDiffusion::bytes(model.decode(latents))).front();
  return blur ? made_unrecognisable(image) : image;
}

/// Both branches of every step, kept on the CPU.
struct Pairs {
  std::vector<double> timesteps;
  std::vector<torch::Tensor> before, after_base, after_safe;

  void add(const DenoisingStep& step) {
    timesteps.push_back(step.timestep);
    before.push_back(step.before.to(torch::kCPU));
    after_base.push_back(step.after_base.to(torch::kCPU));
    after_safe.push_back(step.after_safe.to(torch::kCPU));
  }
  void put(NamedTensors& tensors, std::int64_t row) const {
    const auto of_row = [&](const std::vector<torch::Tensor>& steps) {
      std::vector<torch::Tensor> rows;
      for (const torch::Tensor& step : steps) rows.push_back(step[row]);
      return torch::stack(rows);
    };
    tensors["timesteps"] = torch::tensor(timesteps, torch::kDouble);
    tensors["before"] = of_row(before);
    tensors["after_base"] = of_row(after_base);
    tensors["after_safe"] = of_row(after_safe);
  }
};

}  // namespace

void sample_pictures(const StableDiffusion& model, std::span<const PictureRequest> wanted,
                     const ImageSampleConfig& config, bool blur, const StableDiffusion::OnStep& on_step,
                     const Guide* guide) {
  const torch::NoGradGuard no_grad;
  require(!wanted.empty(), "pictures: expected at least one, got none");
  std::vector<std::string> prompts;
  std::vector<torch::Tensor> each;
  for (const PictureRequest& request : wanted) {
    prompts.push_back(request.prompt);
    ImageSampleConfig own = config;
    own.seed = request.seed;
    each.push_back(model.noise(1, own));
  }
  const torch::Tensor noise = torch::cat(each);
  const bool guided = config.guidance_scale > 1, safe = guided && config.safety.preset != "off";
  Pairs pairs;
  const torch::Tensor latents = model.sample_embedded(
      guided ? model.embed({config.negative_prompt}) : torch::Tensor(), model.embed(prompts),
      safe ? model.embed({config.safety.unsafe}) : torch::Tensor(), config,
      [&](const DenoisingStep& step) {
        if (!step.after.isfinite().all().item<bool>())
          throw Error(concat("step ", step.index, ": expected finite latents, found others",
                             model.impl().type == torch::kHalf ? "; float16 may be too narrow" : ""));
        if (config.pair) pairs.add(step);
        if (on_step) on_step(step);
      },
      noise, guide);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const torch::Tensor own = latents.narrow(0, row, 1);
    write_png(with(wanted[i].stem, ".png"), picture_of(model, own, blur));
    NamedTensors tensors = {{"latents", own}, {"noise", noise.narrow(0, row, 1)}};
    if (config.pair) pairs.put(tensors, row);
    save_tensors(with(wanted[i].stem, ".safetensors"), tensors,
                 {{"prompt", wanted[i].prompt}, {"seed", concat(wanted[i].seed)}});
  }
}

bool is_sampled(const PictureRequest& request) {
  std::error_code ignored;
  return fs::exists(with(request.stem, ".safetensors"), ignored) &&
         fs::exists(with(request.stem, ".png"), ignored);
}

int denoising_calls(const StableDiffusion& model, const ImageSampleConfig& config) {
  const DiffusionScheduler chain(model.impl().scheduler(config.scheduler), config.steps);
  return static_cast<int>(chain.timesteps().size());
}

void encode_picture(const StableDiffusion& model, const fs::path& png, const fs::path& latents) {
  Image image = read_png(png);
  if (image.width % model.factor() != 0 || image.height % model.factor() != 0)
    throw Error(concat(png.string(), ": expected sides that are multiples of ", model.factor(),
                       " pixels, found ", image.width, " x ", image.height));
  const torch::Tensor bytes =
      torch::from_blob(image.rgb.data(), {1, image.height, image.width, 3}, torch::kByte);
  save_tensors(latents, {{"latents", model.encode(StableDiffusion::images(bytes))}},
               {{"picture", png.filename().string()}});
}

std::vector<Image> decode_latents(const StableDiffusion& model, const fs::path& latents, bool blur) {
  const Safetensors file = Safetensors::open(latents);
  const torch::Tensor values = tensor_from(file.at("latents"), concat(latents.string(), ": latents"));
  const std::int64_t channels = model.impl().vae.config().latent_channels;
  const bool fits = values.is_floating_point() && values.dim() == 4 && values.size(0) > 0 &&
                    values.size(1) == channels && values.size(2) >= 1 && values.size(2) <= kLargestSide &&
                    values.size(3) >= 1 && values.size(3) <= kLargestSide;
  if (!fits)
    throw Error(concat(latents.string(), ": latents: expected numbers [n, ", channels,
                       ", height, width], sides at most ", kLargestSide, ", found ", file.at("latents").dtype,
                       " ", values.sizes()));
  std::vector<Image> images;
  for (std::int64_t i = 0; i < values.size(0); ++i)
    images.push_back(picture_of(model, values.narrow(0, i, 1), blur));
  return images;
}

Image made_unrecognisable(const Image& image) {
  return blurred(image, kBlur * std::min(image.width, image.height));
}

Json picture_versions() {
  return {{"libtorch", TORCH_VERSION}, {"pictures", picture_library()}};
}

}  // namespace diffreward
