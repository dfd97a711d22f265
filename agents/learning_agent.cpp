#include <algorithm>

#include "agents/agent.h"
#include "core/error.h"

namespace diffreward {

void LearningAgent::act_stochastically(const Streams& streams) {
  noise_.emplace(streams, instances_);
  log_probabilities_.assign(static_cast<std::size_t>(instances_), 0.0);
}

void LearningAgent::number_episodes(std::span<const std::uint64_t> numbers) {
  if (noise_) noise_->number_episodes(numbers);
}

bool LearningAgent::log_probabilities(std::span<double> out) const {
  if (!noise_) return false;
  require(out.size() == log_probabilities_.size(), "log_probabilities: expected ", log_probabilities_.size(),
          " numbers, got ", out.size());
  std::ranges::copy(log_probabilities_, out.begin());
  return true;
}

}  // namespace diffreward
