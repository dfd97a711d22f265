// What a diffusion model itself knows of a concept: the diffusion classifier (Li et al., ICCV 2023). Of a picture's latents x,
//
//   mean over draws of t and eps of  ||eps - eps_0(x_t, t)||^2 - ||eps - eps_S(x_t, t)||^2
// with the noise predicted for nothing and for the concept: how much better the concept explains the picture, which is
// more than nothing where it is there. A relative reward learns this from the same model, once; this asks the model many
// times for every picture.
#pragma once

#include <cstdint>
#include <string>

#include "agents/stable_diffusion/stable_diffusion.h"
#include "agents/tensor.h"
#include "core/config.h"

namespace diffreward {

struct DiffusionClassifierConfig {
  int draws = 50;  // of t and noise, the same for every picture; two calls of the U-Net each
  int lowest_t = 20, highest_t = 700;
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("draws", self.draws, "draws of timestep and noise, the same for every picture", Bounds{1, 1e5});
    field("lowest_t", self.lowest_t, "timesteps are spread evenly from this one", Bounds{0, 9999});
    field("highest_t", self.highest_t, "to this one", Bounds{0, 9999});
    field("seed", self.seed, "seed of the noise");
  }
};

/// How much each picture shows the concept.  latents: [n, channels, h, w]  ->  [n] float32 on the CPU. Throws
/// InvalidArgument for settings out of range.
at::Tensor diffusion_classifier(const StableDiffusion& model, const at::Tensor& latents,
                                const std::string& concept_text,
                                const DiffusionClassifierConfig& config = {});

}  // namespace diffreward
