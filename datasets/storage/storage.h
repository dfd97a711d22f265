// What stands behind a Dataset: spans into a mapped file or into owned memory.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/file.h"
#include "datasets/dataset.h"
#include "datasets/storage/spool.h"

namespace diffreward {
namespace hdf5 {
class File;
}

struct Dataset::Storage {
  struct InfoColumn {
    std::string name;
    std::size_t size;
    std::span<const float> values;  // [rows, size]
    std::span<const double> doubles =
        {};  // the same as they were recorded; empty where that was no double precision
  };
  std::size_t rows = 0, observation_dim = 0, action_dim = 0;
  std::span<const float> observations, next_observations, actions, rewards;
  std::span<const std::uint8_t> terminals, timeouts;
  std::vector<InfoColumn> infos;
  std::vector<std::string> ignored;
  std::vector<Episode> episodes;
  Provenance provenance;
  std::filesystem::path path;

  /// Read-only memory of a file that columns point into.
  struct Mapping {
    std::shared_ptr<const void> memory;
    std::size_t size;
  };
  std::vector<Mapping> mappings;          // the file itself, and what could not be mapped from it, converted
  std::deque<std::vector<float>> floats;  // columns in memory; a deque keeps addresses
  std::deque<std::vector<double>> doubles;
  std::deque<std::vector<std::uint8_t>> bytes;

  static constexpr std::size_t kMostEpisodes = std::size_t{1} << 25;
  /// Cuts the rows into episodes from terminals and timeouts; the last row always ends one. Throws Error for
  /// more than kMostEpisodes, which a small file may claim.
  void find_episodes();
};

/// Opens a file of either layout. Throws Error naming the file, the field, what was expected and what was
/// found.
std::shared_ptr<const Dataset::Storage> open_storage(const std::filesystem::path& file);

/// The same of the shards of a plan (datasets/shards.h), by its plan.json; their records tell where columns lie, so that
/// HDF5 reads the first file alone.
std::shared_ptr<const Dataset::Storage> open_shards(const std::filesystem::path& file);

/// Work on the HDF5 file of a stranger in a child process (isolated.h).
Json run_on_file(const RegularFile& file, const std::string& name, Spool* spool,
                 const std::function<Json(hdf5::File&)>& work);

/// The provenance that a file of ours tells in its group `metadata`: read in the child, checked in the parent. What is of
/// another type than it should be adds its name to `ignored`.
Json read_attributes(hdf5::File& file, Json& ignored);
Provenance provenance_of(const Json& attributes, std::vector<std::string>& ignored);

/// Whether a file has Minari's layout: a group for each episode.
bool is_minari(const hdf5::File& file);

/// The readers, one per layout, which run in the child: {"rows", "columns": [{"name", "width", "place",
/// "offset"}], "ignored": [texts], "attributes"}. A column's place is "file" or "spool"; infos are named
/// "infos/<name>", those of double precision again "doubles/<name>".
Json read_d4rl(hdf5::File& file, Spool& spool);
Json read_minari(hdf5::File& file, Spool& spool);
Json column_json(const std::string& name, std::size_t width, const char* place, std::size_t offset);

/// What Minari's metadata.json beside a file tells. Throws Error for spaces that are no vectors of numbers.
Provenance read_minari_metadata(const std::filesystem::path& metadata);
/// The number of groups episode_0, episode_1, ... in a file. Throws Error where there is none.
std::size_t count_episodes(const hdf5::File& file);

}  // namespace diffreward
