#include <algorithm>

#include "agents/agent.h"
#include "core/error.h"

namespace diffreward {

void LearningAgent::act_stochastically(const Streams& streams) {
  noise_.emplace(streams, instances_);
  log_probabilities_.assign(static_cast<std::size_t>(instances_), 0.0);
}

std::size_t LearningAgent::begin_act(const StepView& view, std::span<const double> actions,
                                     std::size_t obs_dim, std::size_t act_dim) {
  const std::size_t count = view.obs.size() / obs_dim;
  require(view.obs.size() == count * obs_dim && actions.size() == count * act_dim,
          "act: expected observations [n, ", obs_dim, "] and actions [n, ", act_dim, "], got ",
          view.obs.size(), " and ", actions.size(), " numbers");
  if (noise_) {
    require(noise_->size() == count, "act: expected ", noise_->size(), " instances, got ", count);
    noise_->begin(view);
  }
  return count;
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
