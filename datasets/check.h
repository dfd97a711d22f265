// Faults in recorded data, found by looking at the rows.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "datasets/dataset.h"

namespace diffreward {

struct Fault {
  std::string name;               ///< "terminal-inside-episode", "missing-timeouts", "reward-shifted", ...
  std::string message;            ///< one line: what was expected and what was found
  std::size_t count = 0;          ///< rows concerned
  std::vector<std::size_t> rows;  ///< the first of them, at most 20
};

/// Looks at a D4RL or Minari file as it stands (also one that Dataset::open repairs or refuses) and names
/// each fault; of a plan's folder of shards those of each shard, by rows of the whole. The list of checks stands in check.cpp and in docs/data.md.
std::vector<Fault> check_data(const std::filesystem::path& path);

}  // namespace diffreward
