// Writes D4RL's HDF5 layout.
#pragma once

#include <vector>

#include "datasets/storage/column_file.h"
#include "envs/env.h"

namespace diffreward {

/// The columns: observations, next_observations, actions, rewards, terminals, timeouts, infos/*.
class D4rlWriter : public ColumnFile {
 public:
  /// Lays out a file for `rows` rows; `doubles`: infos of double precision. Throws Error when the disk refuses.
  D4rlWriter(const std::filesystem::path& path, std::size_t rows, std::size_t observation_dim,
             std::size_t action_dim, const std::vector<InfoField>& infos,
             const std::vector<InfoField>& doubles, const Provenance& provenance,
             std::size_t alignment = kColumnAlignment);
};

}  // namespace diffreward
