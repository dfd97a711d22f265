// LibTorch's tensors in safetensors files.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/safetensors.h"

namespace diffreward {

using NamedTensors = std::map<std::string, torch::Tensor>;

/// A copy on the CPU; with `mapping`, which keeps the bytes, the bytes themselves where they are aligned, only to be
/// read. Throws Error starting with `what` for a type that LibTorch lacks and for numbers that are not finite.
torch::Tensor tensor_from(const TensorBytes& bytes, const std::string& what,
                          const std::shared_ptr<const void>& mapping = nullptr);

/// Writes the tensors, from whatever device, atomically.
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata);

}  // namespace diffreward
