// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A generator is fully named by (seed, stream), costs 40 bytes and needs no warm-up. Bits and
// uniforms are the same on every platform; normals but for the last digit of its logarithm and cosine.
//
// Who needs many generators names a family of them by what they are for: Streams(Purpose::kEvaluation,
// seed)[i] shares no number with any other purpose, seed or i.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>

namespace diffreward {

/// The name of one stream of random numbers. An integer names stream 0 of that seed.
struct Seed {
  std::uint64_t value = 0, stream = 0;
  constexpr Seed(std::uint64_t seed = 0, std::uint64_t of = 0) : value(seed), stream(of) {}
  bool operator==(const Seed&) const = default;
};

/// What numbers are drawn for. New purposes go to the end: numbers depend on the order.
enum class Purpose : std::uint8_t {
  kCaller,      ///< no purpose of the project: a caller's own seeds
  kRecording,   ///< starts and goals of recorded instances; group: which recording (datasets/collect.h)
  kController,  ///< what an agent draws while it is recorded there; group as above
  kEvaluation,  ///< starts and goals of evaluated episodes
  kTraining,    ///< starts and goals of instances that an agent learns on; group: call of train()
  kActions,     ///< actions drawn by a policy that learns
  kMinibatches,
  kModelWeights,
  kRewardWeights,
  kAgentWeights,
  kBatches,     ///< training batches of a model; group: use
  kFineTuning,  ///< the same of a model that starts from another
  kExtraction,  ///< training batches of a reward; group: use
  kSplit,       ///< training against held-out episodes
  kSampling,    ///< noise of a sampled window
  kPlanning,    ///< noise of a plan; group: instance, index: episode
  kStarts,      ///< starts of steered trajectories
  kChoices,     ///< rows, windows and episodes that an evaluation looks at; group: use
  kResampling,  ///< bootstrap
  kInstances,   ///< a batch that a caller resets with an integer
  kSelection,   ///< starts and goals of episodes that a checkpoint is chosen by
  kBehaviour,   ///< actions drawn by a policy that is evaluated; recorded ones are kController's
  kLikelihood,  ///< noise of a likelihood; index: timestep
  kCount
};

/// A family of streams: purpose (8 bits), group (24) and index (32) make the stream of a seed.
class Streams {
 public:
  /// group: below 2^24, index: below 2^32, wrapped beyond.
  constexpr Streams(Purpose purpose, std::uint64_t seed, std::uint64_t group = 0)
      : seed_(seed), stream_(std::uint64_t(purpose) << 56u | (group & 0xffffffu) << 32u) {}
  /// A caller's integer for a batch. Also apart from that integer as the seed of one generator.
  constexpr Streams(std::uint64_t seed) : Streams(Purpose::kInstances, seed) {}

  constexpr Seed operator[](std::uint64_t index) const {
    return {seed_, stream_ | ((first_ + index) & 0xffffffffu)};
  }
  /// The family without its first `n` streams.
  constexpr Streams skip(std::uint64_t n) const {
    Streams rest = *this;
    rest.first_ += n;
    return rest;
  }

 private:
  std::uint64_t seed_, stream_, first_ = 0;
};

class Rng {
 public:
  using result_type = std::uint32_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffu; }

  /// Streams of one seed are independent; use one per environment, sample or worker.
  explicit Rng(Seed seed = {}) : seed_(seed.value), stream_(seed.stream) {}

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

  /// Fills `out` with standard normals, single precision (Box-Muller, both of each pair), from the next block
  /// of four words on. The same numbers for any division of `out` into pieces of multiples of four.
  void normals(std::span<float> out);

  /// The generator goes on from word `position` of its stream.
  void jump(std::uint64_t position) {
    position_ = position;
    filled_ = false;
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
