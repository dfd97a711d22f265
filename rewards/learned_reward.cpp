#include "rewards/learned_reward.h"

#include "core/safetensors.h"
#include "rewards/discriminator/discriminator.h"

namespace diffreward {

LearnedReward load_reward(const std::filesystem::path& path, const std::string& device) {
  if (Safetensors::open(path).metadata_at("kind") == Discriminator::kKind) {
    const auto logit = Discriminator::load(path, device);
    return {logit, logit, nullptr};
  }
  const auto rho = RelativeReward::load(path, device);
  return {rho, rho, rho};
}

std::shared_ptr<const RewardModel> read_reward(const LearnedReward& reward, const ReadingConfig& config) {
  if (reward.relative != nullptr) return read_reward(reward.relative, config);
  validate(config);
  require(config.reading == "plain" && config.t < 0,
          "reading: expected plain at the reward's own timestep for a discriminator, got ", config.reading,
          " at ", config.t);
  return reward.model;
}

}  // namespace diffreward
