// Recording a vector env to disk.
#pragma once

#include <filesystem>

#include "core/rng.h"
#include "datasets/dataset.h"
#include "envs/agent.h"

namespace diffreward {

class ShardFolder;

/// Recordings of one seed; no two share a random number.
enum class Recording : std::uint8_t { kBase, kExpert, kHeldOutBase, kHeldOutExpert, kTraining };
/// "base", "expert", "held-out base", "held-out expert", "training": stored as provenance (extra, "recording").
const char* name_of(Recording recording);

/// What the instances of a recording draw from, or the agent that acts in it (Purpose::kController).
constexpr Streams streams_of(Recording recording, std::uint64_t seed, Purpose purpose = Purpose::kRecording) {
  return {purpose, seed, static_cast<std::uint64_t>(recording)};
}

struct CollectInfo {
  std::string behaviour;  ///< stored as provenance
  std::uint64_t seed = 0;
  Recording recording = Recording::kBase;
  Json env_options = Json::object();
  Json extra = Json::object();
  bool log_probabilities = false;  ///< a column of them (infos/action_log_probs); needs an agent that draws
  bool shard = false;  ///< a part of a recording (datasets/shards.h): columns begin with pages of memory, and
  std::uint64_t first_instance =
      0;  ///< instance 0 has this number in the whole, which its agent's streams must have
          ///< been told: streams_of(...).skip(first_instance)
};

/// What a recording tells of its making.
Provenance provenance_of(const EnvSpec& spec, const CollectInfo& info);

/// Bytes of a row of a recording.
std::size_t recorded_row_bytes(VectorEnv& envs, const CollectInfo& info);

/// Puts the shards of a recording together in a file, which appears under its name only when complete. `envs` is of any
/// number of instances. Throws Error for missing or damaged shards, see ShardFolder::concatenate.
void merge_recordings(VectorEnv& envs, const CollectInfo& info, const ShardFolder& shards,
                      const std::filesystem::path& path);

/// Records `steps` transitions (rounded up to a multiple of envs.size()) into a D4RL HDF5 file and opens it.
/// Instance i fills a contiguous block of rows, so the bytes depend on the seed and on the number of
/// instances, not on threads, and those of a shard are those of its instances in the whole. Uses same-step autoreset. The file appears under its name only when complete.
Dataset collect(VectorEnv& envs, Agent& agent, std::size_t steps, const CollectInfo& info,
                const std::filesystem::path& path);

}  // namespace diffreward
