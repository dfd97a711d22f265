#include "agents/kernels/enabled.h"

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "agents/kernels/kernels.h"

namespace diffreward {
namespace {

std::atomic<bool>& enabled() {
  static std::atomic<bool> on = [] {
    const char* const value = std::getenv("DIFFREWARD_KERNELS");
    if (value != nullptr && std::string_view(value) == "0") return false;
    return kernels_fit(kernels::instruction_set(), std::cerr);
  }();
  return on;
}

}  // namespace

bool kernels_fit(const std::string& instruction_set, std::ostream& log) {
  if (instruction_set != "EMU128" && instruction_set != "SCALAR") return true;
  log << "diffreward: no vector instructions found on this processor (" << instruction_set
      << "); nets are computed by LibTorch alone\n";
  return false;
}

bool kernels_enabled() {
  return enabled();
}

void enable_kernels(bool on) {
  enabled() = on;
}

}  // namespace diffreward
