#include "core/rng.h"

#include <algorithm>

namespace diffreward {

void Rng::normals(std::span<float> out) {
  constexpr float kUnit = 0x1.0p-32f, kTurn = 2 * std::numbers::pi_v<float>;
  std::uint64_t block = (position_ + 3) >> 2u;
  for (std::size_t at = 0; at < out.size(); at += 4) {
    const std::array<std::uint32_t, 4> words = philox(block++);
    std::array<float, 4> four;
    for (std::size_t pair = 0; pair < 4; pair += 2) {
      // Half a unit keeps the logarithm finite.
      const float radius = std::sqrt(-2.0f * std::log((static_cast<float>(words[pair]) + 0.5f) * kUnit));
      const float angle = kTurn * kUnit * static_cast<float>(words[pair + 1]);
      four[pair] = radius * std::cos(angle);
      four[pair + 1] = radius * std::sin(angle);
    }
    std::copy_n(four.begin(), std::min<std::size_t>(4, out.size() - at), out.begin() + std::ptrdiff_t(at));
  }
  jump(block << 2u);
}

}  // namespace diffreward
