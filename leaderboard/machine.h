// What a machine computes, as a hash: equal fingerprints promise equal bits of the project's results, so that a
// row can be verified to the last one. Names of processors promise nothing: libraries choose their code by
// what a processor can do, and libm rounds differently from version to version.
#pragma once

#include <string>

#include "core/json.h"

namespace diffreward {

struct Machine {
  std::string fingerprint;  ///< hash of machine_fingerprint() with the denoiser's
  std::string cpu, isa;     ///< model, and what of its instructions code is chosen by
  std::string libm, packages;

  Json json() const;
};

/// SHA-256 of a sample of a small diffusion model of fixed weights: its matrix products, activations and sampler.
std::string denoiser_hash();

/// The machine this runs on, by the fixed probes of envs/fingerprint.h (functions of libm, steps of Box2D and of MuJoCo)
/// and the denoiser. Takes some milliseconds once a process.
const Machine& this_machine();

}  // namespace diffreward
