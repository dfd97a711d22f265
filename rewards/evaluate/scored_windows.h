// Windows of recorded behaviour with the reward of each: what every evaluation of a reward looks at.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/statistics.h"
#include "datasets/dataset.h"
#include "envs/maze2d/maze_map.h"
#include "rewards/reward_model.h"

namespace diffreward {

/// Fills out [n] for windows [n, horizon, width] in data units.
using ScoreFn = std::function<void(std::span<const float> windows, std::span<float> out)>;

/// A function as a RewardModel: a closed form, a relative reward read at another timestep, a support model.
class FunctionReward final : public RewardModel {
 public:
  FunctionReward(WindowLayout layout, Reads reads, ScoreFn score)
      : layout_(layout), reads_(reads), score_(std::move(score)) {}
  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override { return reads_; }
  void score(std::span<const float> windows, std::span<float> out) const override { score_(windows, out); }

 private:
  WindowLayout layout_;
  Reads reads_;
  ScoreFn score_;
};

struct ScoredWindows {
  WindowLayout layout;
  std::vector<float> windows;        // [n, horizon, width]  data units
  std::vector<double> reward;        // [n]
  std::vector<std::size_t> episode;  // [n]
  std::vector<std::size_t> step;     // [n]  of the first row within its episode

  std::size_t size() const { return reward.size(); }
  std::span<const float> row(std::size_t window, int row) const;  // [width]
  /// First and last row of the recording that a window lies on.
  std::pair<std::size_t, std::size_t> recorded(std::size_t window, const Dataset& data) const;
  Point position(std::size_t window, int row) const;  // cells
  Point velocity(std::size_t window, int row) const;  // cells / s
};

struct WindowPick {
  int every = 4;       // steps between the first rows of windows
  int episodes = 512;  // at most so many, drawn at random
  std::uint64_t seed = 0;
};

/// Windows of `data` cut as the reward reads them. Throws Error when a score is not finite, naming the
/// window.
ScoredWindows score_windows(const RewardModel& reward, const Dataset& data, const WindowPick& pick);

/// Scores [n] of windows [n, horizon, width], in batches. Throws Error when a score is not finite.
std::vector<double> score_all(const RewardModel& reward, std::span<const float> windows);

/// Mean reward over stretches of an episode.
struct Separation {
  Estimate auroc;  ///< P(an expert stretch is paid more than a base stretch), interval over whole episodes
  Sample expert, base;                         ///< the mean rewards, clustered by episode
  Histogram expert_histogram, base_histogram;  ///< over one range, winsorised by 0.5 %
  Json json() const;
};

/// Tells expert from base by mean reward over stretches of `steps` environment steps (0: whole episodes), one
/// after the other from the start of each episode; a last one shorter than half counts only when it is the
/// episode's only one.
Separation separation(const ScoredWindows& expert, const ScoredWindows& base, int steps,
                      const BootstrapConfig& config);

}  // namespace diffreward
