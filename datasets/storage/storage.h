// What stands behind a Dataset: spans into a mapped file or into owned memory.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datasets/dataset.h"

namespace diffreward {

struct Dataset::Storage {
  struct InfoColumn {
    std::string name;
    std::size_t size;
    std::span<const float> values;  // [rows, size]
  };
  std::size_t rows = 0, observation_dim = 0, action_dim = 0;
  std::span<const float> observations, next_observations, actions, rewards;
  std::span<const std::uint8_t> terminals, timeouts;
  std::vector<InfoColumn> infos;
  std::vector<Episode> episodes;
  Provenance provenance;
  std::filesystem::path path;

  std::shared_ptr<const void> mapping;    // the file, if columns point into it
  std::deque<std::vector<float>> floats;  // columns that had to be copied; a deque keeps addresses
  std::deque<std::vector<std::uint8_t>> bytes;

  /// Cuts the rows into episodes from terminals and timeouts; the last row always ends one.
  void find_episodes();
};

/// The HDF5 file of a data set: inside a Minari data set's folder, or the path itself. Throws Error for
/// another folder.
std::filesystem::path find_data_file(const std::filesystem::path& path);
/// Whether a file found so has Minari's layout; the name tells.
inline bool is_minari(const std::filesystem::path& data_file) {
  return data_file.filename() == "main_data.hdf5";
}

/// The readers, one per format. They throw Error naming the file, the field, what was expected and what was
/// found.
std::shared_ptr<const Dataset::Storage> open_d4rl(const std::filesystem::path& path);
std::shared_ptr<const Dataset::Storage> open_minari(const std::filesystem::path& data_file);

}  // namespace diffreward
