// A learned reward of any kind: what a reward file holds, for those who do not care which.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agents/guide.h"
#include "rewards/reading.h"
#include "rewards/relative/relative_reward.h"

namespace diffreward {

struct LearnedReward {
  std::shared_ptr<const RewardModel> model;        ///< pays windows
  std::shared_ptr<const Guide> guide;              ///< steers samples; the same object
  std::shared_ptr<const RelativeReward> relative;  ///< null for a discriminator
};

/// Loads a relative reward or a discriminator. Throws Error naming the file, the field, what was expected and
/// found.
LearnedReward load_reward(const std::filesystem::path& path, const std::string& device = "cpu");

/// The reward paid out as configured. A discriminator's logit has the plain reading at its own timestep only;
/// throws InvalidArgument for another.
std::shared_ptr<const RewardModel> read_reward(const LearnedReward& reward, const ReadingConfig& config);

}  // namespace diffreward
