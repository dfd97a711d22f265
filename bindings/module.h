// What the parts of the extension modules share.
#pragma once

#include <pybind11/pybind11.h>

#include "core/error.h"

namespace diffreward::python {

/// InvalidArgument becomes ValueError, every other Error RuntimeError, with the same message.
inline void bind_errors() {
  pybind11::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const InvalidArgument& e) {
      pybind11::set_error(PyExc_ValueError, e.what());
    } catch (const Interrupted& e) {
      pybind11::set_error(PyExc_KeyboardInterrupt, e.what());
    } catch (const Error& e) {
      pybind11::set_error(PyExc_RuntimeError, e.what());
    }
  });
}

void bind_datasets(pybind11::module_& m);

}  // namespace diffreward::python
