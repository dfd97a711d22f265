// LibTorch's tensors in safetensors files.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>

#include "core/safetensors.h"

namespace diffreward {

using NamedTensors = std::map<std::string, torch::Tensor>;

/// A copy on the CPU. Throws Error starting with `what` for a type that LibTorch lacks and for numbers that
/// are not finite.
torch::Tensor tensor_from(const TensorBytes& bytes, const std::string& what);

/// Writes the tensors, from whatever device, atomically.
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata);

}  // namespace diffreward
