// The inside of a RelativeReward, shared by its own source and extract().
#pragma once

#include <torch/torch.h>

#include <vector>

#include "rewards/relative/relative_reward.h"
#include "rewards/relative/support.h"
#include "rewards/relative/window_reward_torch.h"

namespace diffreward {

struct RelativeReward::Impl {
  WindowReward windows;
  std::vector<double> difference_rms;  // [timesteps]
  std::vector<FieldReport> report;
  BaseStatistics base;
  std::optional<Fallen> fallen;
  SupportModel support;
};

/// RelativeReward::nats_per_unit before there is one.
double nats_per_unit(const ExtractConfig& config, const NoiseSchedule& schedule,
                     std::span<const double> difference_rms, int t);

}  // namespace diffreward
