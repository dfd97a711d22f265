// Pictures and their latents as files.
//   <stem>.png          8-bit RGB
//   <stem>.safetensors  latents [1, channels, h, w]; of a sample also noise, the initial one, and, with pairs,
//                       timesteps [steps] and before, after_base, after_safe [steps, channels, h, w]
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "agents/stable_diffusion/stable_diffusion.h"
#include "core/json.h"
#include "envs/image.h"

namespace diffreward {

/// A picture that is wanted, of the noise of its own seed, and where it goes.
struct PictureRequest {
  std::string prompt;
  std::uint64_t seed;
  std::filesystem::path stem;  // "out/000000"
};

/// Samples the pictures as one batch; `seed` and `seed_each` of the config are not read. Each file is whole or absent,
/// and the latents come last, so that where they are the picture is done. Throws Error where numbers are not finite.
void sample_pictures(const StableDiffusion& model, std::span<const PictureRequest> wanted,
                     const ImageSampleConfig& config, bool blur, const StableDiffusion::OnStep& on_step,
                     const Guide* guide = nullptr);
/// Whether the files of a picture are there.
bool is_sampled(const PictureRequest& request);
/// Calls of the U-Net in one chain. Throws InvalidArgument for steps that the scheduler does not have.
int denoising_calls(const StableDiffusion& model, const ImageSampleConfig& config);

/// The latents of a PNG as a file. Throws Error naming it where its sides do not fit.
void encode_picture(const StableDiffusion& model, const std::filesystem::path& png,
                    const std::filesystem::path& latents);
/// The pictures of `latents` in a file. Throws Error naming it.
std::vector<Image> decode_latents(const StableDiffusion& model, const std::filesystem::path& latents,
                                  bool blur);

/// The picture so that shapes alone are left: under a Gaussian of 1/24 of its shorter side.
Image made_unrecognisable(const Image& image);

/// What computes and writes them: {"libtorch": "2.9.1", "pictures": "OpenCV 4.6.0"}.
Json picture_versions();

}  // namespace diffreward
