// The random numbers of an agent that acts: a generator an instance, which a numbered episode starts anew.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "envs/agent.h"

namespace diffreward {

class InstanceNoise {
 public:
  InstanceNoise(const Streams& streams, int instances) : streams_(streams) {
    for (int i = 0; i < instances; ++i) rngs_.emplace_back(streams[static_cast<std::uint64_t>(i)]);
  }
  std::size_t size() const { return rngs_.size(); }

  /// See Agent::number_episodes.
  void number_episodes(std::span<const std::uint64_t> numbers) {
    require(numbers.empty() || numbers.size() == rngs_.size(), "number_episodes: expected ", rngs_.size(),
            " numbers, got ", numbers.size());
    numbers_.assign(numbers.begin(), numbers.end());
  }
  /// At the beginning of every act(): episodes that begin draw from the stream of their number, if they have one.
  void begin(const StepView& view) {
    for (std::size_t i = 0; i < rngs_.size() && !numbers_.empty(); ++i)
      if (begins(view, i)) rngs_[i] = Rng(streams_[numbers_[i]]);
    numbers_.clear();
  }
  Rng& operator[](std::size_t instance) { return rngs_[instance]; }

 private:
  const Streams streams_;
  std::vector<Rng> rngs_;
  std::vector<std::uint64_t> numbers_;
};

}  // namespace diffreward
