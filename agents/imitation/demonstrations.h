// Demonstrations: recorded transitions, remembered as an agent's own are.
#pragma once

#include <cstdint>
#include <string>

#include "agents/sac/replay_buffer.h"
#include "datasets/dataset.h"
#include "envs/env.h"

namespace diffreward {

/// A data set and how many of its rows are used.
struct Demonstrations {
  Dataset data;
  std::size_t rows;  // of the first episodes
};

/// Opens a data set of `env`'s sizes, of which the first `episodes` episodes are used, or all for 0. `option` is the setting
/// that names it. Throws InvalidArgument where it names none, and Error naming the data, what was expected and found for
/// other sizes, fewer episodes and numbers that are not finite.
Demonstrations open_demonstrations(const char* option, const std::string& data, std::int64_t episodes,
                                   const EnvSpec& env);

/// The same with actions in half-boxes, clipped to the box, and paid 0. Throws as above, and Error, with an absorbing state,
/// for falls that nothing marks as an end, where the recorded states tell of them (datasets/check.h).
ReplayBuffer remember_demonstrations(const std::string& data, std::int64_t episodes, const EnvSpec& env,
                                     bool absorbing);

}  // namespace diffreward
