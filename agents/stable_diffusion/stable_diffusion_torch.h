// The inside of StableDiffusion, for its sources and tests.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agents/stable_diffusion/autoencoder_kl_torch.h"
#include "agents/stable_diffusion/clip_text_model_torch.h"
#include "agents/stable_diffusion/scheduler_torch.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "agents/stable_diffusion/unet_2d_condition_torch.h"

// A folder's texts need the tokenizer, the rest does without.
#if __has_include("agents/stable_diffusion/clip_tokenizer.h")
#include "agents/stable_diffusion/clip_tokenizer.h"
#define DIFFREWARD_CLIP_TOKENIZER
#endif

namespace diffreward {

struct StableDiffusion::Impl {
  std::filesystem::path folder;
  std::string device;
  torch::ScalarType type;
  ClipTextModel text;
  Unet2dConditionModel unet;
  AutoencoderKl vae;
  ComponentConfig scheduler_file;
  SchedulerConfig own_scheduler;
  NoiseSchedule schedule;
  std::vector<std::string> warnings;
#ifdef DIFFREWARD_CLIP_TOKENIZER
  std::optional<ClipTokenizer> tokenizer;  // none where the folder has none
#endif

  /// The folder's scheduler or, under its settings, another one.
  SchedulerConfig scheduler(const std::string& kind) const;
  torch::Tensor tokens(const std::vector<std::string>& texts) const;  // [n, length] int64
};

/// PyTorch's normal numbers of a seed, drawn on the CPU in this type.
torch::Tensor seeded_normal(std::uint64_t seed, at::IntArrayRef shape, torch::ScalarType type);

}  // namespace diffreward
