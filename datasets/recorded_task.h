// The task that a data set was recorded in, as far as its provenance tells.
#pragma once

#include <memory>
#include <vector>

#include "datasets/dataset.h"
#include "envs/env.h"

namespace diffreward {

struct RecordedTask {
  std::unique_ptr<Env> env;  // null where it is not one of ours
  std::size_t limit = 0;     // steps of an episode; 0 where nothing tells

  /// Whether an episode went on until the task or the limit ended it. Where no limit is known every one did.
  bool is_whole(const Episode& episode) const {
    return episode.terminated || limit == 0 || episode.size() >= limit;
  }
};

RecordedTask recorded_task(const Provenance& from);

/// Returns of the whole episodes, in their order.
std::vector<double> whole_returns(const Dataset& data, const RecordedTask& task);

}  // namespace diffreward
