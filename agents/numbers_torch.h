// Between tensors and spans of numbers. Includes LibTorch: for sources.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <span>

namespace diffreward {

/// A contiguous tensor's numbers.
inline std::span<float> numbers(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

/// Numbers as a tensor [rows, columns] of floats.
inline torch::Tensor floats(std::span<const double> values, std::size_t rows) {
  const auto n = static_cast<std::int64_t>(rows);
  const torch::Tensor tensor =
      torch::empty({n, rows == 0 ? 0 : static_cast<std::int64_t>(values.size()) / n});
  std::ranges::transform(values, tensor.data_ptr<float>(), [](double x) { return static_cast<float>(x); });
  return tensor;
}

}  // namespace diffreward
