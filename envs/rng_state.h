// A random generator as doubles, the way Env::state() holds it: three 64-bit words as 32-bit halves, each
// exact in a double.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/error.h"
#include "core/rng.h"

namespace diffreward {

inline constexpr std::size_t kRngNumbers = 6;

inline void write_rng(const Rng& rng, std::span<double, kRngNumbers> out) {
  for (std::size_t i = 0; i < 3; ++i) {
    out[2 * i] = double(rng.state()[i] >> 32u);
    out[2 * i + 1] = double(rng.state()[i] & 0xffffffffu);
  }
}

/// The words for Rng::set_state. Throws InvalidArgument, naming `id`, for anything but 32-bit halves.
inline std::array<std::uint64_t, 3> read_rng(std::string_view id, std::span<const double, kRngNumbers> in) {
  std::array<std::uint64_t, 3> words{};
  for (std::size_t i = 0; i < kRngNumbers; ++i) {
    require(in[i] >= 0 && in[i] <= 0xffffffffu && in[i] == std::floor(in[i]), id,
            ": state: expected 32-bit halves of the generator's words, got ", in[i]);
    words[i / 2] = words[i / 2] << 32u | std::uint64_t(in[i]);
  }
  return words;
}

}  // namespace diffreward
