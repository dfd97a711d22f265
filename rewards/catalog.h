// Every learned reward there is: what it is called, how it is trained and how it is loaded. Adding one: a header and a
// source, an entry in catalog.cpp, a test.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agents/guide.h"
#include "rewards/reading.h"
#include "rewards/relative/relative_reward.h"

namespace diffreward {

/// A learned reward of any kind, for those who do not care which.
struct LearnedReward {
  std::shared_ptr<const RewardModel> model;  ///< pays windows
  std::shared_ptr<const Guide> guide = {};   ///< steers samples; the same object; null where it cannot
  std::shared_ptr<const Guide> log_ratio =
      {};  ///< log p_t^expert - log p_t^base, nats; null where it is none
  std::shared_ptr<const RelativeReward> relative = {};  ///< null for other kinds
  const Normalizer* units = nullptr;  ///< of a row, a part of the model; null where it has none
};

inline constexpr const char* kCannotGuide =
    "expected a reward that is differentiable, to lead samples, found another";
/// Throws InvalidArgument for a reward that cannot lead samples.
const Guide& guide_of(const LearnedReward& reward);
/// Throws InvalidArgument naming the first number in which the reward's units are not the model's.
void require_units(const LearnedReward& reward, const WindowModel& model);
/// Throws InvalidArgument for a reward that is no log density ratio.
std::shared_ptr<const Guide> log_ratio_of(const LearnedReward& reward);

/// What a reward is learned from.
struct RewardSources {
  const WindowModel* expert = nullptr;  ///< null where RewardEntry::reads_expert is false
  const WindowModel& base;
  const WindowSource& windows;  ///< of expert and base
  Ranks* ranks = nullptr;       ///< the processes that train together; null: this one
};

struct RewardEntry {
  std::string name;     ///< "relative"
  std::string summary;  ///< one line for people
  std::string kind;     ///< what its files say they are
  bool reads_expert;    ///< whether it needs the expert's model; all need the base's, whose units they are in
  bool in_ranks;        ///< whether several processes may train it
  /// Trains it; writes reward.safetensors into the folder, and metrics.jsonl where it takes steps.
  LearnedReward (*train)(const RewardSources& sources, const ExtractConfig& config,
                         const std::filesystem::path& folder);
  LearnedReward (*load)(const std::filesystem::path& path, const std::string& device);
};

const std::vector<RewardEntry>& reward_catalog();
/// Throws InvalidArgument for an unknown name, naming the nearest.
const RewardEntry& reward_entry(const std::string& name);

/// Trains the reward of this name; what a stage records of it: {"method"}, and of a relative one {"field"}, its
/// FieldReport over t. Throws InvalidArgument for an unknown name, for settings out of range, where the expert's model is
/// missing and where several processes train what they cannot, and what training throws.
Json train_reward(const std::string& method, const RewardSources& sources, const ExtractConfig& config,
                  const std::filesystem::path& folder);

/// Loads a reward by the kind of its file. Throws Error naming the file, the field, what was expected and found.
LearnedReward load_reward(const std::filesystem::path& path, const std::string& device = "cpu");

/// The reward paid out as configured. Only a relative reward has other readings than the plain one at its own timestep;
/// throws InvalidArgument for another.
std::shared_ptr<const RewardModel> read_reward(const LearnedReward& reward, const ReadingConfig& config);

}  // namespace diffreward
