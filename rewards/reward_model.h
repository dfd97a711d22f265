// The front door of rewards: something that scores windows of behaviour. No tensor on its surface. All of them, by
// name: rewards/catalog.h.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "datasets/windows.h"

namespace diffreward {

/// What a row of a window holds of a transition (s, a, s'), and so what a reward may depend on.
enum class Reads {
  kReached,      // [a, s']     the state reached; the action's place may hold anything
  kStateAction,  // [a, s]
  kTransition,   // [a, s, s']  layout().reached
};

class RewardModel {
 public:
  virtual ~RewardModel() = default;
  /// The windows that score() takes, data units.
  virtual const WindowLayout& layout() const = 0;
  virtual Reads reads() const = 0;
  /// One score per window, higher is preferred.  windows: [n, horizon, width], out: [n]. Safe from several
  /// threads.
  virtual void score(std::span<const float> windows, std::span<float> out) const = 0;
  /// What a step with which the task ends is paid besides.
  virtual double terminal() const { return 0; }
};

}  // namespace diffreward
