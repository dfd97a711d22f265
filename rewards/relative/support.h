// Where the base data has mass: a conformal test with a nearest-neighbour distance (Vovk et al. 2005; Zhao
// and Saligrama 2009; docs/design/0003-support.md).
//
//   d(window) = max over its rows of the distance to the k-th nearest kept base row, in the channels read
//   p(window) = (1 + #{held-out base windows with d >= d(window)}) / (1 + #{held-out base windows})
//
// For a window drawn like the held-out ones p is uniform whatever the density; far from all data it is the
// smallest value.
#pragma once

#include <span>
#include <vector>

#include "rewards/relative/kd_tree.h"

namespace diffreward {

class SupportModel {
 public:
  /// Kept base rows, and the distances of held-out base windows: at least one, finite.
  SupportModel(KdTree rows, std::vector<float> held_out);
  /// The same with the distances taken from held-out windows [m, horizon, rows.dim()].
  static SupportModel fit(KdTree rows, std::span<const float> windows, std::size_t horizon);

  /// p in (0, 1] of one window [horizon, channels], model units. Safe from several threads.
  double p_value(std::span<const float> window) const;

  const KdTree& rows() const { return rows_; }
  const std::vector<float>& held_out() const { return held_out_; }  // ascending

 private:
  KdTree rows_;
  std::vector<float> held_out_;
};

}  // namespace diffreward
