// Demonstrations: recorded transitions, remembered as an agent's own are.
#pragma once

#include <cstdint>
#include <string>

#include "agents/sac/replay_buffer.h"
#include "datasets/dataset.h"
#include "envs/env.h"

namespace diffreward {

/// Opens a data set of `env`'s sizes. `option` is the setting that names it. Throws InvalidArgument where it is empty, and
/// Error naming the data, what was expected and what was found, for other sizes.
Dataset open_demonstrations(const char* option, const std::string& data, const EnvSpec& env);

/// How many rows the first `episodes` episodes have, or all of them for 0. Throws Error, naming the data, where there are
/// fewer or none.
std::size_t demonstrated_rows(const std::string& name, const Dataset& data, std::int64_t episodes);

/// The first `episodes` episodes of a data set, or all of them for 0, with actions in half-boxes, clipped to the box, and
/// paid 0. Throws as those above, and Error for numbers that are not finite and, with an absorbing state, falls that nothing
/// marks as an end, where the recorded states tell of them (datasets/check.h).
ReplayBuffer remember_demonstrations(const std::string& data, std::int64_t episodes, const EnvSpec& env,
                                     bool absorbing);

}  // namespace diffreward
