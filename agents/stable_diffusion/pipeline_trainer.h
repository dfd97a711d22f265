// Trains a small Stable Diffusion pipeline from images with captions and writes it in diffusers' layout: latent
// diffusion (Rombach et al. 2022) in two parts, one after the other.
//
//   autoencoder  mean |D(z) - x| + kl_weight KL(q || N(0, 1)) [+ perceptual_weight d(D(z), x)],  z ~ q = N(mean, deviation) = E(x)
//   denoiser     mean w_t (eps_net(sqrt(abar_t) s z + sqrt(1 - abar_t) eps, t, text) - eps)^2,  text encoder and U-Net together
//
// w_t = 1, or min(SNR_t, gamma) / SNR_t with SNR_t = abar_t / (1 - abar_t) (min-SNR, Hang et al. 2023): at little noise eps is
// hard to tell and says little about what is in the picture.
// The KL is a sum over an image's latent, over the numbers of the image. s is 1 over the deviation of z over all images:
// the scaling factor. A caption becomes nothing with a probability (Ho and Salimans 2022), so that guidance has its
// other branch. Weights are averages over the steps (EMA).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "agents/stable_diffusion/clip_tokenizer.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "core/config.h"

namespace diffreward {

struct PipelineConfig {
  int image_size = 64;      // pixels a side
  int latent_channels = 4;  // of a latent, which has 2^(levels - 1) pixels a side less
  std::vector<int> vae_channels = {24, 48, 64};
  int vae_layers = 1, vae_groups = 8;
  std::vector<int> unet_channels = {32, 64, 96};
  std::vector<int> unet_attention = {0, 1, 1};
  int unet_layers = 1, unet_heads = 4, unet_groups = 8;
  int text_width = 96, text_layers = 2, text_heads = 4, text_length = 16;
  std::string scheduler = "pndm";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    constexpr Bounds width{1, 4096};
    field("image_size", self.image_size, "pixels a side", width);
    field("latent_channels", self.latent_channels, "channels of a latent", Bounds{1, 64});
    field("vae_channels", self.vae_channels, "channels of the autoencoder per resolution, which halves",
          width);
    field("vae_layers", self.vae_layers, "residual blocks per resolution", Bounds{1, 16});
    field("vae_groups", self.vae_groups, "groups of its normalisation", width);
    field("unet_channels", self.unet_channels, "channels of the U-Net per resolution, which halves", width);
    field("unet_attention", self.unet_attention, "whether a resolution attends to the text, 0 or 1 for each",
          Bounds{0, 1});
    field("unet_layers", self.unet_layers, "residual blocks per resolution", Bounds{1, 16});
    field("unet_heads", self.unet_heads, "heads of attention", Bounds{1, 256});
    field("unet_groups", self.unet_groups, "groups of its normalisation", width);
    field("text_width", self.text_width, "width of the text encoder", width);
    field("text_layers", self.text_layers, "layers of the text encoder", Bounds{1, 64});
    field("text_heads", self.text_heads, "its heads of attention", Bounds{1, 256});
    field("text_length", self.text_length, "tokens of a caption, with begin and end", Bounds{2, 4096});
    field("scheduler", self.scheduler, "scheduler that the folder names", Choices{"pndm", "ddim"});
  }
};

/// How one of the two parts learns.
struct PartTrainConfig {
  std::int64_t steps = 2000;           // optimiser steps
  int batch = 32;                      // images per step
  double lr = 1e-3;                    // AdamW, after warm-up
  std::int64_t warmup = 0;             // steps over which it rises from 0
  std::string lr_schedule = "cosine";  // constant, linear or cosine: to 0 at the last step
  double weight_decay = 1e-4;
  double ema = 0.995;        // decay of the averaged weights, which are the ones used and written
  double gradient_clip = 1;  // largest gradient norm; 0 for none

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("steps", self.steps, "optimiser steps; 0 leaves a pretrained autoencoder as it is", Bounds{0, 1e9});
    field("batch", self.batch, "images per step", Bounds{1, 1 << 16});
    field("lr", self.lr, "learning rate of AdamW, after the warm-up", Bounds{0, 1});
    field("warmup", self.warmup, "steps over which it rises from 0, in even parts", Bounds{0, 1e9});
    field("lr_schedule", self.lr_schedule, "how it falls, to 0 at the last step",
          Choices{"constant", "linear", "cosine"});
    field("weight_decay", self.weight_decay, "AdamW's weight decay", Bounds{0, 10});
    field("ema", self.ema, "decay of the averaged weights", Bounds{0, 1});
    field("gradient_clip", self.gradient_clip, "largest gradient norm, 0 for none", Bounds{0, 1e9});
  }
};

struct PipelineTrainConfig {
  PartTrainConfig autoencoder;
  PartTrainConfig denoiser{.steps = 2600, .batch = 64, .lr = 5e-4};
  double kl_weight = 1e-6;
  double perceptual_weight = 0.1;       // where a net of features is given
  double caption_dropout = 0.1;         // share of captions that become nothing
  double snr_gamma = 0;                 // of min-SNR weights; 0: all timesteps weigh the same
  double held_out = 0.02;               // share of images kept for the held-out loss
  std::int64_t checkpoint_every = 200;  // steps; 0 for never
  std::int64_t log_every = 50;          // steps
  std::uint64_t seed = 0;
  std::string device = "cpu";  // cpu or cuda

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("autoencoder", self.autoencoder, "the autoencoder's training");
    field("denoiser", self.denoiser, "the training of text encoder and U-Net");
    field("kl_weight", self.kl_weight, "weight of the autoencoder's KL divergence", Bounds{0, 1e6});
    field("perceptual_weight", self.perceptual_weight,
          "weight of the distance between features, where a net of features is given", Bounds{0, 1e6});
    field("caption_dropout", self.caption_dropout, "share of captions that become nothing", Bounds{0, 1});
    field("snr_gamma", self.snr_gamma,
          "signal to noise from which timesteps weigh less (min-SNR), 0 for even weights", Bounds{0, 1e6});
    field("held_out", self.held_out, "share of images kept for the held-out loss", Bounds{0, 0.9});
    field("checkpoint_every", self.checkpoint_every, "steps between checkpoints, 0 for none", Bounds{0, 1e9});
    field("log_every", self.log_every, "steps between metric lines", Bounds{1, 1e9});
    field("seed", self.seed, "seed of weights, batches and noise");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
  }
};

/// What a pipeline learns from: square pictures with a caption each.
struct CaptionedPictures {
  int side = 0;                       // pixels
  std::vector<std::uint8_t> pixels;   // [n, side, side, 3] RGB
  std::vector<std::string> captions;  // [n]
};

/// Trains on pictures of config.image_size and writes the pipeline as `folder`/pipeline, beside metrics.jsonl, whose steps
/// count through both parts, and checkpoint.safetensors, from which a run that was stopped goes on: on one thread to the
/// bit. The tokenizer is cut to text_length. Between the parts all pictures become latents, 8 latent_channels bytes for
/// each of their positions. Throws InvalidArgument for settings, pictures and captions that do not fit each other, Error
/// naming a file that is damaged or another run's, Error when a loss is not finite or diverges, Interrupted.
///
/// `pretrained`: a pipeline of these sizes and vocabulary whose weights training goes on from (fine-tuning), with fresh moments
/// of the optimiser. It keeps its scaling factor where its autoencoder is left as it is.
///
/// `features`: weights of EfficientNet-Lite0 (agents/nets/efficient_net_torch.h), whose maps of the picture and of what was
/// decoded are brought near each other beside the pixels; empty: pixels alone.
StableDiffusion train_pipeline(const CaptionedPictures& data, const ClipTokenizer& tokenizer,
                               const PipelineConfig& config, const PipelineTrainConfig& train,
                               const std::filesystem::path& folder,
                               const StableDiffusion* pretrained = nullptr,
                               const std::filesystem::path& features = {});

}  // namespace diffreward
