// What a machine computes, as a hash: equal fingerprints promise equal bits of the project's results, so that a
// row can be verified to the last one. Names of processors promise nothing: libraries choose their code by
// what a processor can do, and libm rounds differently from version to version.
#pragma once

#include <string>

#include "core/json.h"

namespace diffreward {

struct Machine {
  std::string fingerprint;  ///< SHA-256 of the probe's numbers
  std::string cpu, isa;     ///< model, and what of its instructions code is chosen by
  std::string libm, packages;

  Json json() const;
};

/// The machine this runs on. The fixed probe: functions of libm, a policy's and a denoiser's matrix products
/// (a sample of a small diffusion model of fixed weights), and steps of Box2D and of MuJoCo. Takes some
/// milliseconds once a process.
const Machine& this_machine();

}  // namespace diffreward
