// LibTorch's tensors as NumPy's arrays and back.
#pragma once

#include <pybind11/numpy.h>
#include <torch/torch.h>

#include <memory>
#include <vector>

#include "core/error.h"

namespace diffreward::python {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Timesteps = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

/// An array that keeps the tensor's memory alive; callers give one that they share with nobody, or a reader.
template <class T>
py::array_t<T> to_numpy_of(const at::Tensor& tensor) {
  auto kept = std::make_unique<at::Tensor>(tensor);
  const py::capsule owner(kept.get(), [](void* owned) { delete static_cast<at::Tensor*>(owned); });
  const at::Tensor& values = *kept.release();
  const std::vector<py::ssize_t> shape(values.sizes().begin(), values.sizes().end());
  return py::array_t<T>(shape, values.data_ptr<T>(), owner);
}
inline py::array_t<float> to_numpy(const at::Tensor& tensor) {
  return to_numpy_of<float>(tensor.detach().to(torch::kCPU, torch::kFloat).contiguous());
}

/// A tensor that shares memory with the array, which must live as long.
inline at::Tensor from_numpy(const Floats& array) {
  const std::vector<std::int64_t> shape(array.shape(), array.shape() + array.ndim());
  return torch::from_blob(const_cast<float*>(array.data()), shape);
}

}  // namespace diffreward::python
