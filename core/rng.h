// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A generator is fully named by (seed, stream), costs 40 bytes, needs no warm-up and gives the same
// numbers on every platform, because the distributions below are ours and not the standard library's.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace diffreward {

class Rng {
 public:
  using result_type = std::uint32_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffu; }

  /// Streams of one seed are independent; use one per environment, sample or worker.
  explicit Rng(std::uint64_t seed = 0, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  /// Next 32 uniform bits (UniformRandomBitGenerator).
  result_type operator()() {
    const auto lane = static_cast<unsigned>(position_ & 3u);
    if (lane == 0 || !filled_) {
      block_ = philox(position_ >> 2u);
      filled_ = true;
    }
    ++position_;
    return block_[lane];
  }

  std::uint64_t bits64() {
    const std::uint64_t high = (*this)();
    return high << 32u | (*this)();
  }

  /// Uniform in [0, 1) with 53 random bits.
  double uniform() { return static_cast<double>(bits64() >> 11u) * 0x1.0p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Standard normal (Box-Muller, one value per two uniforms, so the position stays predictable).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  /// Uniform integer in [0, n), n >= 1 (multiply-shift with 64 random bits; bias below n / 2^64).
  std::uint64_t below(std::uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(bits64()) * n) >> 64u);
  }

  /// The whole state: (seed, stream, position). Two generators with equal state give equal numbers.
  std::array<std::uint64_t, 3> state() const { return {seed_, stream_, position_}; }
  void set_state(const std::array<std::uint64_t, 3>& state) {
    seed_ = state[0];
    stream_ = state[1];
    position_ = state[2];
    filled_ = false;
  }

 private:
  std::array<std::uint32_t, 4> philox(std::uint64_t counter) const {
    std::array<std::uint32_t, 4> x = {
        static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32u),
        static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32u)};
    auto k0 = static_cast<std::uint32_t>(seed_), k1 = static_cast<std::uint32_t>(seed_ >> 32u);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t a = std::uint64_t{0xD2511F53u} * x[0], b = std::uint64_t{0xCD9E8D57u} * x[2];
      x = {static_cast<std::uint32_t>(b >> 32u) ^ x[1] ^ k0, static_cast<std::uint32_t>(b),
           static_cast<std::uint32_t>(a >> 32u) ^ x[3] ^ k1, static_cast<std::uint32_t>(a)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return x;
  }

  std::uint64_t seed_, stream_, position_ = 0;
  std::array<std::uint32_t, 4> block_{};
  bool filled_ = false;
};

}  // namespace diffreward
