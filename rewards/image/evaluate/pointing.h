// The pointing game (Zhang et al. 2018, "Top-down neural attention by excitation backprop"): does the maximum of a heat
// map lie on the object? Maps are coarser than pictures, a value a latent pixel; a maximum that misses by one latent pixel,
// diagonally too, still hits.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/statistics.h"

namespace diffreward {

/// A number per pixel, of a picture or of its latents.
struct PixelMap {
  int width = 0, height = 0;
  std::vector<float> values;  // [height, width]
};

/// What one map earns.
struct Pointed {
  double hit = 0;     ///< 1 or 0; where several pixels share the maximum, the share of them that hit
  double chance = 0;  ///< what a pixel drawn at random would earn
};

/// `object`: positive on the object, at least as large as `heat`, which covers the same picture. Throws InvalidArgument for
/// sizes that do not fit, values that are not finite, and an object without pixels.
Pointed pointed(const PixelMap& heat, const PixelMap& object);

struct PointingGame {
  Estimate hits;                     ///< share of pictures
  double chance = 0;                 ///< of the same pictures
  std::size_t played = 0, left = 0;  ///< pictures, and those left out because no object is on them
};

/// Over pictures, which are resampled. Throws InvalidArgument as pointed() does, and where none has an object.
PointingGame pointing_game(std::span<const PixelMap> heat, std::span<const PixelMap> objects,
                           const BootstrapConfig& config);

}  // namespace diffreward
