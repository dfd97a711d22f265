// The front door of datasets: recorded experience, immutable, with its provenance.
//
// Rows are transitions in time order, episodes one after the other (D4RL's flat layout). Columns live in the
// file and are memory-mapped where its layout allows, so opening 10 M rows costs no memory. Copying a Dataset
// copies a pointer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"

namespace diffreward {

/// Where data comes from; stored inside the file.
struct Provenance {
  std::string env;        ///< id of the environment
  std::string behaviour;  ///< what chose the actions: "waypoints to a random goal"
  std::string generator;  ///< program and version that wrote it
  std::uint64_t seed = 0;
  Json env_options = Json::object();  ///< options the environment was made with
  Json extra = Json::object();        ///< settings of the behaviour, notes

  /// A text of `extra`; "" where it has none under that name.
  std::string note(const char* name) const;
  /// Steps that an episode was cut at (extra, "episode_steps"); 0 where the environment's own limit held, or none is told.
  int episode_steps() const;
};

/// Rows [begin, end) of one episode.
struct Episode {
  std::size_t begin, end;
  bool terminated;  ///< ended by the task; otherwise cut by a time limit or by the end of the recording
  std::size_t size() const { return end - begin; }
};

/// The file that a path stands for: a file itself; of a folder data.hdf5 (a stage's), main_data.hdf5,
/// data/main_data.hdf5 (a Minari data set's), plan.json (of shards), or else the only *.hdf5 or *.h5 in it or Minari data set below
/// it. Throws Error where a folder holds none, or several, and lists them.
std::filesystem::path find_data_file(const std::filesystem::path& path);

class Dataset {
 public:
  /// Opens a D4RL HDF5 file, a Minari data set, or all shards of a plan as one (datasets/shards.h), as find_data_file
  /// finds it. HDF5 reads it in a child
  /// process; what is not mapped from the file itself is mapped from a temporary one, so that neither takes
  /// memory. Throws Error naming the file and what is wrong: missing, truncated, foreign, wrong shape or
  /// type.
  static Dataset open(const std::filesystem::path& path);

  /// Rows held in memory (tests, small experiments). Sizes must agree; see the accessors for shapes.
  struct Columns {
    std::size_t observation_dim = 0, action_dim = 0;
    std::vector<float> observations, next_observations, actions, rewards;
    std::vector<std::uint8_t> terminals, timeouts;
    struct Info {
      std::string name;
      std::size_t size;
      std::vector<float> values;
      std::vector<double> doubles = {};  // empty for none
    };
    std::vector<Info> infos;
  };
  static Dataset from_columns(Columns columns, Provenance provenance = {});

  std::size_t size() const;
  std::size_t observation_dim() const;
  std::size_t action_dim() const;

  std::span<const float> observations() const;  // [size, observation_dim]  before the action
  std::span<const float> next_observations()
      const;                               // [size, observation_dim]  reached by the action, also at ends
  std::span<const float> actions() const;  // [size, action_dim]
  std::span<const float> rewards() const;  // [size]  for the state reached
  std::span<const std::uint8_t> terminals() const;  // [size]  not 0: the task ended with this row
  std::span<const std::uint8_t> timeouts() const;   // [size]  not 0: the episode was cut after this row

  /// Names of the extra columns ("goal", "qpos", "goal_switched", ...).
  std::vector<std::string> info_names() const;
  bool has_info(const std::string& name) const;
  std::size_t info_dim(const std::string& name) const;
  std::span<const float> info(const std::string& name) const;  // [size, info_dim(name)]
  /// The same as it was recorded, where that was in double precision (robots' qpos and qvel); else empty.
  std::span<const double> info_doubles(const std::string& name) const;  // [size, info_dim(name)]

  /// What the file holds beside, and why it was left out: "infos/note: expected numbers, found text".
  const std::vector<std::string>& ignored() const;

  const std::vector<Episode>& episodes() const;
  const Provenance& provenance() const;
  /// The file, or "" for columns in memory.
  const std::filesystem::path& path() const;

  /// Gives back the memory of what was read of mapped columns; they are read from the file again when needed.
  /// For walks over data larger than memory.
  void release_pages() const;

  /// Writes a D4RL HDF5 file: observations, next_observations, actions, rewards, terminals, timeouts,
  /// infos/*, and the provenance as attributes of `metadata`.
  void write_d4rl(const std::filesystem::path& path) const;
  /// Writes a Minari data set `<namespace>/<name>-v<n>` below `root`, version 0 where `id` has none; returns
  /// its folder. Throws InvalidArgument for an id that Minari does not take.
  std::filesystem::path write_minari(const std::filesystem::path& root, const std::string& id) const;

  struct Storage;  // private to datasets/storage
  const Storage& storage() const { return *storage_; }

 private:
  explicit Dataset(std::shared_ptr<const Storage> storage) : storage_(std::move(storage)) {}
  std::shared_ptr<const Storage> storage_;
};

}  // namespace diffreward
