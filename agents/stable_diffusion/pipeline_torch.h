// The nets of a small pipeline, fresh, what they learn from, and how they become a folder that Python's diffusers reads.
#pragma once

#include <torch/torch.h>

#include <filesystem>

#include "agents/nets/efficient_net_torch.h"
#include "agents/stable_diffusion/autoencoder_kl_torch.h"
#include "agents/stable_diffusion/clip_text_model_torch.h"
#include "agents/stable_diffusion/clip_tokenizer.h"
#include "agents/stable_diffusion/pipeline_trainer.h"
#include "agents/stable_diffusion/scheduler_torch.h"
#include "agents/stable_diffusion/unet_2d_condition_torch.h"

namespace diffreward {

/// Throws InvalidArgument naming the field that is out of range or does not fit another.
void check_pipeline(const PipelineConfig& config);
AutoencoderKlConfig autoencoder_config(const PipelineConfig& config);
ClipTextConfig text_config(const PipelineConfig& config, int vocabulary);
Unet2dConditionConfig unet_config(const PipelineConfig& config);

/// Text encoder and U-Net, which learn together: their parameters are one vector.
struct PromptedUnet {
  PromptedUnet(const PipelineConfig& config, int vocabulary, Seed seed, const torch::Device& device);
  PromptedUnet(const PromptedUnet&) = delete;
  PromptedUnet& operator=(const PromptedUnet&) = delete;
  /// x: [n, latent_channels, h, w], t: [n], ids: [n, length]  ->  eps, as x
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor& ids) const {
    return unet.forward(x, t, text.forward(ids));
  }
  Parameters parameters;
  ClipTextModel text;
  Unet2dConditionModel unet;
};

/// How far the features of two pictures [n, 3, H, W] in [-1, 1] are from each other (Zhang et al. 2018, with one weight for
/// all channels), a scalar: of each of the net's maps, brought to length 1 at every position, the squared difference, summed
/// over channels, mean over positions and pictures; mean over the maps.
torch::Tensor perceptual_distance(const EfficientNetLite0& net, const torch::Tensor& a,
                                  const torch::Tensor& b);

/// All scalars; total = l1 + kl_weight kl + perceptual_weight perceptual, of which the last may be undefined.
struct AutoencoderLoss {
  torch::Tensor total, l1, kl, perceptual;
};
/// Of images [n, 3, H, W] in [-1, 1], with noise shaped as their latents.
AutoencoderLoss autoencoder_loss(const AutoencoderKl& net, const torch::Tensor& image,
                                 const torch::Tensor& noise, double kl_weight,
                                 const EfficientNetLite0* features = nullptr, double perceptual_weight = 0);

/// Writes a pipeline in diffusers' layout, model_index.json last, with settings of SD 1.x's scheduler. `scheduler`: ddim
/// or pndm. Throws Error naming the file that fails.
void write_pipeline(const std::filesystem::path& folder, const AutoencoderKl& vae, double scaling_factor,
                    const ClipTextModel& text, const Unet2dConditionModel& unet,
                    const ClipTokenizer& tokenizer, const std::string& scheduler);

}  // namespace diffreward
