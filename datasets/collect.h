// Recording a vector env to disk.
#pragma once

#include <filesystem>
#include <functional>
#include <span>

#include "core/rng.h"
#include "datasets/dataset.h"
#include "envs/vector_env.h"

namespace diffreward {

/// Chooses actions [n, act_dim] for what `view` shows; may read and change the instances (move a goal).
/// `extra` [n, extra_dim] are columns the policy reports beside the environment's own infos; may be ignored.
using PolicyFn = std::function<void(VectorEnv& envs, const StepView& view, std::span<double> actions,
                                    std::span<double> extra)>;

/// Recordings of one seed; no two share a random number.
enum class Recording : std::uint8_t { kBase, kExpert, kHeldOutBase, kHeldOutExpert };
/// "base", "expert", "held-out base", "held-out expert": stored as provenance (extra, "recording").
const char* name_of(Recording recording);

/// What the instances of a recording draw from, or its controller (Purpose::kController).
constexpr Streams streams_of(Recording recording, std::uint64_t seed, Purpose purpose = Purpose::kRecording) {
  return {purpose, seed, static_cast<std::uint64_t>(recording)};
}

struct CollectInfo {
  std::string behaviour;  ///< stored as provenance
  std::uint64_t seed = 0;
  Recording recording = Recording::kBase;
  Json env_options = Json::object();
  Json extra = Json::object();
  std::vector<InfoField> extra_fields;  ///< what the policy writes into `extra`, e.g. {"goal_switched", 1}
};

/// Records `steps` transitions (rounded up to a multiple of envs.size()) into a D4RL HDF5 file and opens it.
/// Instance i fills a contiguous block of rows, so the bytes depend on the seed and on the number of
/// instances, not on threads. Uses same-step autoreset. The file appears under its name only when complete.
Dataset collect(VectorEnv& envs, const PolicyFn& policy, std::size_t steps, const CollectInfo& info,
                const std::filesystem::path& path);

}  // namespace diffreward
