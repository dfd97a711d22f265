// The front door of rewards: something that scores windows of behaviour. No tensor on its surface.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "datasets/windows.h"

namespace diffreward {

class RewardModel {
 public:
  virtual ~RewardModel() = default;
  /// What score() reads: rows [action, observation] in data units.
  virtual const WindowLayout& layout() const = 0;
  /// Whether any action enters; if not, the action part of a window may hold anything.
  virtual bool reads_actions() const = 0;
  /// One score per window, higher is preferred.  windows: [n, horizon, width], out: [n]. Safe from several
  /// threads.
  virtual void score(std::span<const float> windows, std::span<float> out) const = 0;
};

}  // namespace diffreward
