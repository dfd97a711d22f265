// Recording a vector env to disk.
#pragma once

#include <filesystem>

#include "core/rng.h"
#include "datasets/dataset.h"
#include "envs/agent.h"

namespace diffreward {

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
};

/// What a recording tells of its making.
Provenance provenance_of(const EnvSpec& spec, const CollectInfo& info);

/// Records `steps` transitions (rounded up to a multiple of envs.size()) into a D4RL HDF5 file and opens it.
/// Instance i fills a contiguous block of rows, so the bytes depend on the seed and on the number of
/// instances, not on threads. Uses same-step autoreset. The file appears under its name only when complete.
Dataset collect(VectorEnv& envs, Agent& agent, std::size_t steps, const CollectInfo& info,
                const std::filesystem::path& path);

}  // namespace diffreward
