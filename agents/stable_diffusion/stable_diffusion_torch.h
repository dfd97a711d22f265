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
#include "agents/stable_diffusion/clip_tokenizer.h"
#include "agents/stable_diffusion/scheduler_torch.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "agents/stable_diffusion/unet_2d_condition_torch.h"

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
  std::optional<ClipTokenizer> tokenizer;  // none where the folder has none

  /// The folder's scheduler or, under its settings, another one.
  SchedulerConfig scheduler(const std::string& kind) const;
  torch::Tensor steering(const Guide& guide, const torch::Tensor& x_t, double timestep, double scale) const;
  torch::Tensor tokens(const std::vector<std::string>& texts) const;  // [n, length] int64
};

/// Reads a folder's model_index.json: the pipeline's class and the classes of its parts. Throws Error for others.
void check_pipeline_index(const std::filesystem::path& folder, std::vector<std::string>& warnings);

/// PyTorch's normal numbers of a seed, drawn on the CPU in this type.
torch::Tensor seeded_normal(std::uint64_t seed, at::IntArrayRef shape, torch::ScalarType type);

}  // namespace diffreward
