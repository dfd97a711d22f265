// Small data sets and rewards whose right answers are known.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "datasets/dataset.h"
#include "envs/maze2d/maze_map.h"
#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

/// Observations (x, y, vx, vy) of one episode each; actions are 0, the next observation is the next row's and the reward
/// that of the row, or 0.
inline Dataset dataset_of(const std::vector<std::vector<std::array<float, 4>>>& episodes,
                          float (*reward)(const std::array<float, 4>&) = nullptr) {
  Dataset::Columns columns;
  columns.observation_dim = 4;
  columns.action_dim = 2;
  for (const auto& episode : episodes)
    for (std::size_t i = 0; i < episode.size(); ++i) {
      const bool last = i + 1 == episode.size();
      const auto& next = episode[last ? i : i + 1];
      columns.observations.insert(columns.observations.end(), episode[i].begin(), episode[i].end());
      columns.next_observations.insert(columns.next_observations.end(), next.begin(), next.end());
      columns.actions.insert(columns.actions.end(), {0.0f, 0.0f});
      columns.rewards.push_back(reward != nullptr ? reward(episode[i]) : 0);
      columns.terminals.push_back(0);
      columns.timeouts.push_back(last);
    }
  return Dataset::from_columns(std::move(columns));
}

/// A reward of one observation (x, y, vx, vy).
inline FunctionReward state_reward(const std::function<double(const float* observation)>& value) {
  return {{.horizon = 1, .stride = 1, .action_dim = 0, .observation_dim = 4},
          Reads::kReached,
          [value](std::span<const float> windows, std::span<float> out) {
            for (std::size_t i = 0; i < out.size(); ++i) out[i] = float(value(windows.data() + 4 * i));
          }};
}

}  // namespace diffreward
