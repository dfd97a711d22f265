// Long work that Ctrl-C in Python stops.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <future>

#include "core/error.h"
#include "core/interrupt.h"

namespace diffreward::python {

namespace py = pybind11;

/// Runs `work` on a thread of its own while this one answers Ctrl-C. Called with Python's lock.
template <class Work>
auto interruptible(const Work& work) -> decltype(work()) {
  std::future<decltype(work())> done = std::async(std::launch::async, work);
  bool stopped = false;
  for (;;) {
    {
      const py::gil_scoped_release unlocked;
      if (done.wait_for(std::chrono::milliseconds(50)) == std::future_status::ready) break;
    }
    if (!stopped && PyErr_CheckSignals() != 0) {
      stopped = true;
      request_interrupt();
    }
  }
  request_interrupt(false);
  if (stopped) {
    try {
      done.get();
    } catch (const Error&) {  // of being interrupted
    }
    throw py::error_already_set();
  }
  return done.get();
}

}  // namespace diffreward::python
