// Training of a pipeline so small that it takes seconds: discs and bars of 16 x 16 pixels with captions.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "agents/stable_diffusion/pipeline_trainer.h"
#include "core/rng.h"

namespace diffreward {

inline CaptionedPictures toy_scenes(int count = 24) {
  CaptionedPictures scenes{16, {}, {}};
  Rng rng(3);
  for (int i = 0; i < count; ++i) {
    const bool disc = rng.below(2) == 0, red = rng.below(2) == 0;
    const int x = 5 + static_cast<int>(rng.below(6)), y = 5 + static_cast<int>(rng.below(6));
    for (int row = 0; row < scenes.side; ++row)
      for (int column = 0; column < scenes.side; ++column) {
        const int dx = column - x, dy = row - y;
        const bool inside = disc ? dx * dx + dy * dy < 16 : std::abs(dx) < 2;
        const std::uint8_t strong = inside ? 230 : 40, green = inside ? 60 : 90;
        for (const std::uint8_t value :
             {red ? strong : std::uint8_t{0}, green, red ? std::uint8_t{0} : strong})
          scenes.pixels.push_back(value);
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
