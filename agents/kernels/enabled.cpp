#include "agents/kernels/enabled.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace diffreward {
namespace {

std::atomic<bool>& enabled() {
  static std::atomic<bool> on = [] {
    const char* const value = std::getenv("DIFFREWARD_KERNELS");
    return value == nullptr || std::string_view(value) != "0";
  }();
  return on;
}

}  // namespace

bool kernels_enabled() {
  return enabled();
}

void enable_kernels(bool on) {
  enabled() = on;
}

}  // namespace diffreward
