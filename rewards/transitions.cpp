#include "rewards/transitions.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::size_t kBatch = 4096;  // windows scored at once

}  // namespace

template <class T>
void transition_rows(const RewardModel& reward, const Transitions<T>& transitions, std::span<float> rows) {
  const WindowLayout& layout = reward.layout();
  const auto observation = static_cast<std::size_t>(layout.observation_dim),
             action = static_cast<std::size_t>(layout.action_dim),
             width = static_cast<std::size_t>(layout.width());
  const std::size_t n = rows.size() / width;
  const bool of_reached = reward.reads() == Reads::kReached;
  const auto& [obs, actions, reached] = transitions;
  require(rows.size() == n * width, "transitions: expected room for rows of ", width, " numbers, got ",
          rows.size());
  require(reached.size() == n * observation && (of_reached || obs.size() == n * observation),
          "transitions: expected observations [", n, ", ", observation, "], got ", obs.size(),
          " numbers and ", reached.size(), " reached");
  require(of_reached || actions.size() == n * action, "transitions: expected actions [", n, ", ", action,
          "], got ", actions.size(), " numbers");
  float* to = rows.data();
  const auto put = [&](std::span<const T> from, std::size_t i, std::size_t size) {
    to = std::transform(from.begin() + static_cast<std::ptrdiff_t>(i * size),
                        from.begin() + static_cast<std::ptrdiff_t>((i + 1) * size), to,
                        [](T value) { return static_cast<float>(value); });
  };
  for (std::size_t i = 0; i < n; ++i) {
    if (of_reached) {
      to = std::fill_n(to, action, 0.0f);
      put(reached, i, observation);
    } else {
      put(actions, i, action);
      put(obs, i, observation);
      if (layout.reached) put(reached, i, observation);
    }
  }
}

template void transition_rows(const RewardModel&, const Transitions<float>&, std::span<float>);
template void transition_rows(const RewardModel&, const Transitions<double>&, std::span<float>);

void score_transitions(const RewardModel& reward, const Transitions<float>& transitions,
                       std::span<float> out) {
  const WindowLayout& layout = reward.layout();
  const auto width = static_cast<std::size_t>(layout.width()), size = static_cast<std::size_t>(layout.size());
  std::vector<float> rows(out.size() * width), windows(std::min(kBatch, out.size()) * size);
  transition_rows(reward, transitions, std::span<float>(rows));
  for (std::size_t begin = 0; begin < out.size(); begin += kBatch) {
    const std::size_t count = std::min(kBatch, out.size() - begin);
    float* to = windows.data();
    for (std::size_t i = begin; i < begin + count; ++i)
      for (int k = 0; k < layout.horizon; ++k) to = std::copy_n(rows.data() + i * width, width, to);
    reward.score(std::span(windows).first(count * size), out.subspan(begin, count));
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!std::isfinite(out[i]))
      throw Error(concat("reward: expected finite scores, got ", out[i], " for transition ", i));
}

}  // namespace diffreward
