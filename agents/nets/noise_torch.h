// Noise of diffusion chains.
#pragma once

#include <torch/torch.h>

#include <span>

#include "core/rng.h"

namespace diffreward {

/// Standard normals of the shape on the CPU, so that noise is equal on every device: generator i fills the
/// i-th of noise.size() equal parts along the first dimension, and goes on behind it.
torch::Tensor normal(std::span<Rng> noise, at::IntArrayRef shape);

}  // namespace diffreward
