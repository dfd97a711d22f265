// Windows: stretches of an episode, the samples that diffusion models and rewards are trained on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"
#include "datasets/dataset.h"

namespace diffreward {

/// One window is [horizon, width]; each row is [action, observation] (Diffuser's order), without the action where
/// action_dim is 0, and followed by the observation that the step reached where `reached` says so.
struct WindowLayout {
  int horizon = 1;     // rows
  int stride = 1;      // environment steps between rows
  int action_dim = 0;  // 0: observations only
  int observation_dim = 0;
  bool reached = false;  // rows are whole transitions, [action, observation, observation reached]
  int width() const { return action_dim + (reached ? 2 : 1) * observation_dim; }
  int size() const { return horizon * width(); }
  bool operator==(const WindowLayout&) const = default;

  Json json() const;
  /// Throws InvalidArgument naming a size that is missing or outside what models take.
  static WindowLayout from_json(const Json& json);
};

class WindowSampler {
 public:
  /// All windows that lie in one episode. `pad`: windows may also start closer to the episode's end than
  /// their length, and then repeat the last observation with zero actions. Throws InvalidArgument when there
  /// is no window.
  WindowSampler(Dataset data, WindowLayout layout, bool pad);

  const WindowLayout& layout() const { return layout_; }
  std::size_t count() const { return count_; }

  /// Window `index` in data units; out: [horizon, width].
  void copy(std::size_t index, std::span<float> out) const;
  /// First row of window `index` in the data set, and its episode.
  std::size_t row(std::size_t index) const;
  std::size_t episode(std::size_t index) const;

  /// Fills out [n, horizon, width] with windows drawn uniformly with replacement.
  void sample(Rng& rng, std::span<float> out) const;

 private:
  Dataset data_;
  WindowLayout layout_;
  bool pad_;
  std::vector<std::size_t> first_;  // [episodes + 1] index of each episode's first window
  std::size_t count_ = 0;
};

/// The windows of some episodes of a sampler; no data is copied.
class EpisodeWindows {
 public:
  EpisodeWindows(const WindowSampler& windows, const std::vector<std::size_t>& episodes);
  std::size_t count() const { return first_.back(); }
  /// Index (in the sampler) of a window drawn uniformly; count() must not be 0.
  std::size_t draw(Rng& rng) const;

 private:
  std::vector<std::size_t> begin_;        // index of each episode's first window
  std::vector<std::size_t> first_ = {0};  // windows in the episodes before it; the last entry is the total
};

/// The numbers below n in two parts, each in ascending order.
struct Split {
  std::vector<std::size_t> train, test;
};
/// `held_out` of n things, at random by seed, against the rest: at least one and not all of them where that can be. Throws
/// InvalidArgument for a share outside [0, 1).
Split split_at_random(std::size_t n, double held_out, std::uint64_t seed);
/// Data split by whole episodes, as numbers of these.
Split split_episodes(const Dataset& data, double held_out, std::uint64_t seed);

/// The data set reduced to the given episodes (copied to memory).
Dataset select_episodes(const Dataset& data, std::span<const std::size_t> episodes);

}  // namespace diffreward
