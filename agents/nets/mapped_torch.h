// LibTorch's tensors over the bytes of mapped files.
#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <memory>
#include <span>

namespace diffreward {

/// The bytes themselves as a tensor, only to be read; `mapping` keeps them and belongs to a file mapped for reading.
torch::Tensor mapped_tensor(std::span<const std::byte> bytes, at::IntArrayRef shape, torch::ScalarType type,
                            const std::shared_ptr<const void>& mapping);

/// Takes from memory the whole pages of a tensor that mapped_tensor() made, or does nothing for any other: for one that has been
/// copied into another order. Its numbers stay what they are and come back from the file when they are read.
void release_pages(const torch::Tensor& tensor);

}  // namespace diffreward
