#include "rewards/catalog.h"

#include <algorithm>

#include "core/safetensors.h"
#include "rewards/discriminator/discriminator.h"
#include "rewards/nearest/nearest.h"
#include "rewards/relative/sample_source.h"
#include "rewards/value/value.h"

namespace diffreward {
namespace {

LearnedReward of_any(const std::shared_ptr<RelativeReward>& reward) {
  return {reward, reward, log_ratio_guide(reward), reward, &reward->normalizer()};
}
LearnedReward of_any(const std::shared_ptr<Discriminator>& reward) {
  return {reward, reward, reward, nullptr, &reward->normalizer()};
}
LearnedReward of_any(const std::shared_ptr<ValueReward>& reward) {
  return {.model = reward, .guide = reward, .units = &reward->normalizer()};
}
LearnedReward of_any(const std::shared_ptr<NearestReward>& reward) {
  return {.model = reward};
}

template <class Reward>
LearnedReward load(const std::filesystem::path& path, const std::string& device) {
  return of_any(Reward::load(path, device));
}

}  // namespace

const std::vector<RewardEntry>& reward_catalog() {
  static const std::vector<RewardEntry> entries = {
      {"relative", "the difference of two diffusion models, by gradient matching", RelativeReward::kKind,
       true, true,
       [](const RewardSources& from, const ExtractConfig& config, const std::filesystem::path& folder) {
         return of_any(extract(*from.expert, from.base, from.windows, config, folder, from.ranks));
       },
       load<RelativeReward>},
      {"discriminator", "the logit of a classifier of expert against base data, the baseline",
       Discriminator::kKind, false, false,
       [](const RewardSources& from, const ExtractConfig& config, const std::filesystem::path& folder) {
         return of_any(train_discriminator(from.base, from.windows, config, folder));
       },
       load<Discriminator>},
      {"value", "the task's own reward to come, Diffuser's value function, an oracle", ValueReward::kKind,
       false, false,
       [](const RewardSources& from, const ExtractConfig& config, const std::filesystem::path& folder) {
         return of_any(train_value(from.base, from.windows, config, folder));
       },
       load<ValueReward>},
      {"nearest", "minus the distance to the nearest state of the expert", NearestReward::kKind, false, false,
       [](const RewardSources& from, const ExtractConfig& config, const std::filesystem::path& folder) {
         return of_any(fit_nearest(from.base, from.windows, config, folder));
       },
       load<NearestReward>},
  };
  return entries;
}

const RewardEntry& reward_entry(const std::string& name) {
  std::vector<std::string> names;
  for (const RewardEntry& entry : reward_catalog()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  throw InvalidArgument(concat("method: ", unknown_name("reward", name, names)));
}

Json train_reward(const std::string& method, const RewardSources& sources, const ExtractConfig& config,
                  const std::filesystem::path& folder) {
  const RewardEntry& entry = reward_entry(method);
  validate(config);
  require(sources.expert != nullptr || !entry.reads_expert, "expert: expected the expert's model, which ",
          method, " reads, got none");
  require(sources.ranks == nullptr || entry.in_ranks, "method: expected one process to train ", method,
          ", found several");
  const LearnedReward reward = entry.train(sources, config, folder);
  Json result = {{"method", method}};
  if (reward.relative == nullptr) return result;
  result["field"] = Json::array();
  for (const FieldReport& at : reward.relative->field_report()) result["field"].push_back(at.json());
  return result;
}

LearnedReward load_reward(const std::filesystem::path& path, const std::string& device) {
  const std::string kind = Safetensors::open(path).metadata_at("kind");
  std::string known;
  for (const RewardEntry& entry : reward_catalog()) {
    if (entry.kind == kind) return entry.load(path, device);
    known += concat(known.empty() ? "" : ", ", entry.kind);
  }
  throw Error(concat(path.string(), ": metadata 'kind': expected one of ", known, ", found '", kind, "'"));
}

const Guide& guide_of(const LearnedReward& reward) {
  require(reward.guide != nullptr, "reward: ", kCannotGuide);
  return *reward.guide;
}

void require_units(const LearnedReward& reward, const WindowModel& model) {
  if (reward.units != nullptr)
    require_same_units("the reward", *reward.units, "the model", model.normalizer());
}

std::shared_ptr<const Guide> log_ratio_of(const LearnedReward& reward) {
  require(reward.log_ratio != nullptr,
          "reward: expected a log density ratio, as relative rewards and discriminators are, found another");
  return reward.log_ratio;
}

std::shared_ptr<const RewardModel> read_reward(const LearnedReward& reward, const ReadingConfig& config) {
  if (reward.relative != nullptr) return read_reward(reward.relative, config);
  validate(config);
  require(config.reading == "plain" && config.t < 0,
          "reading: expected plain at the reward's own timestep for other rewards than relative ones, got ",
          config.reading, " at ", config.t);
  return reward.model;
}

}  // namespace diffreward
