// Models and guides written in Python, as native ones (diffreward/own.py has their Python side).
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "agents/diffusion/window_model.h"
#include "agents/guide.h"

namespace diffreward::python {

namespace py = pybind11;

/// A model whose E[x_0 | x_t] is object.predict(x [n, rows, width] float32, t [n] int64), whose vector-Jacobian product
/// is object.pull(x, t, gradient), on NumPy's arrays. Samples are in model units.
std::shared_ptr<const WindowModel> own_model(py::object object, std::vector<double> betas,
                                             WindowLayout layout);

/// A guide of object.value(x, t) and object.gradient(x, t), likewise.
std::shared_ptr<const Guide> own_guide(py::object object);

}  // namespace diffreward::python
