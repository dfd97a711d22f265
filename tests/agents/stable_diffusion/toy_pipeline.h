// Training of a pipeline so small that it takes seconds: discs and bars of 16 x 16 pixels with captions.
#pragma once

#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "agents/stable_diffusion/pipeline_trainer.h"
#include "core/rng.h"

namespace diffreward {

struct ToyScenes {
  torch::Tensor images;  // [n, 16, 16, 3] uint8
  std::vector<std::string> captions;
};

inline ToyScenes toy_scenes(int count = 24) {
  ToyScenes scenes{torch::zeros({count, 16, 16, 3}, torch::kByte), {}};
  auto pixels = scenes.images.accessor<std::uint8_t, 4>();
  Rng rng(3);
  for (int i = 0; i < count; ++i) {
    const bool disc = rng.below(2) == 0, red = rng.below(2) == 0;
    const int x = 5 + static_cast<int>(rng.below(6)), y = 5 + static_cast<int>(rng.below(6));
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 16; ++column) {
        const int dx = column - x, dy = row - y;
        const bool inside = disc ? dx * dx + dy * dy < 16 : std::abs(dx) < 2;
        pixels[i][row][column][red ? 0 : 2] = inside ? 230 : 40;
        pixels[i][row][column][1] = static_cast<std::uint8_t>(inside ? 60 : 90);
      }
    scenes.captions.push_back(std::string(red ? "a red " : "a blue ") + (disc ? "disc" : "bar"));
  }
  return scenes;
}

inline PipelineConfig toy_pipeline() {
  return {.image_size = 16,
          .vae_channels = {8, 16},
          .vae_groups = 4,
          .unet_channels = {8, 16},
          .unet_attention = {0, 1},
          .unet_heads = 2,
          .unet_groups = 4,
          .text_width = 16,
          .text_layers = 1,
          .text_heads = 2,
          .text_length = 8};
}

inline PipelineTrainConfig toy_training(std::int64_t autoencoder_steps, std::int64_t denoiser_steps) {
  PipelineTrainConfig train;
  train.autoencoder = {
      .steps = autoencoder_steps, .batch = 8, .lr = 3e-3, .lr_schedule = "constant", .ema = 0.9};
  train.denoiser = {.steps = denoiser_steps, .batch = 8, .lr = 3e-3, .lr_schedule = "constant", .ema = 0.9};
  train.held_out = 0.2;
  train.checkpoint_every = 4;
  train.log_every = 4;
  train.seed = 7;
  return train;
}

inline ClipTokenizer toy_tokenizer() {
  return ClipTokenizer::load(std::filesystem::path(DIFFREWARD_SOURCE_DIR) /
                             "tests/agents/clip_tokenizer/classic");
}

}  // namespace diffreward
