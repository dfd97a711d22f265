// Safe Latent Diffusion (Schramowski et al., CVPR 2023): guidance away from a concept that a text describes.
//
// Of the noise predicted for nothing, the prompt and the concept, eps_0, eps_p, eps_S, element by element, at step i:
//   phi = min(1, scale |eps_p - eps_S|)                                                               (eq. 6)
//   mu  = 0 where eps_p - eps_S >= threshold, else phi
//   gamma = mu (eps_S - eps_0) + momentum_scale nu                                                    (eq. 4, 7)
//   nu <- momentum_beta nu + (1 - momentum_beta) gamma,  at first 0                                    (eq. 8)
//   eps = eps_0 + guidance_scale (eps_p - eps_0 - [i >= warmup_steps] gamma)                           (eq. 3)
// as the authors' code and diffusers' StableDiffusionPipelineSafe have it.
#pragma once

#include <string>
#include <string_view>

#include "core/config.h"

namespace diffreward {

/// The concept that diffusers' pipeline guides away from.
inline constexpr std::string_view kUnsafeConcept =
    "an image showing hate, harassment, violence, suffering, humiliation, harm, suicide, sexual, nudity, "
    "bodily "
    "fluids, blood, obscene gestures, illegal activity, drug use, theft, vandalism, weapons, child abuse, "
    "brutality, cruelty";

struct SafetyConfig {
  /// off, weak, weak-paper, medium, strong, max, or custom: the numbers below, which count for nothing otherwise.
  /// weak is the authors' code; weak-paper has the scale 200 of the paper's table in place of 20.
  std::string preset = "off";
  std::string unsafe = std::string(kUnsafeConcept);  // the concept
  int warmup_steps = 10;                             // calls of the scheduler, of which pndm has one more
  double scale = 1000, threshold = 0.01;
  double momentum_scale = 0.3, momentum_beta = 0.4;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("preset", self.preset, "how strongly to guide away from the concept",
          Choices{"off", "weak", "weak-paper", "medium", "strong", "max", "custom"});
    field("unsafe", self.unsafe, "the concept, as a text");
    field("warmup_steps", self.warmup_steps, "custom: steps without effect", Bounds{0, 10000});
    field("scale", self.scale, "custom: how soon an element counts as unsafe", Bounds{0, 1e9});
    field("threshold", self.threshold, "custom: where an element counts as safe", Bounds{-1e9, 1e9});
    field("momentum_scale", self.momentum_scale, "custom: weight of the momentum", Bounds{0, 1});
    field("momentum_beta", self.momentum_beta, "custom: what the momentum keeps of itself", Bounds{0, 1});
  }

  /// With the preset's numbers. Throws InvalidArgument for an unknown preset or a number out of range.
  SafetyConfig resolved() const;
  /// Whether there is anything to do: not at a scale of at most 1, as in diffusers.
  bool on() const { return preset != "off" && scale > 1; }
};

}  // namespace diffreward
