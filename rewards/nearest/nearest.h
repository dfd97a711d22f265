// How near a state is to what the expert does: the simplest reward from demonstrations, and the yardstick of others.
//
//   r(row) = -(distance to the nearest expert row), in the channels read, model units
//
// It knows neither the base nor what comes next, and pays an agent for standing anywhere that the expert passes.
#pragma once

#include <filesystem>
#include <memory>

#include "rewards/relative/kd_tree.h"
#include "rewards/relative/relative_reward.h"
#include "rewards/relative/sample_source.h"

namespace diffreward {

class NearestReward final : public RewardModel {
 public:
  static constexpr const char* kKind = "diffreward-nearest-1";  // of its files
  /// Rows [n, channels.size()] of the expert in model units; `layout` is that of the models, of which single rows are
  /// scored. Throws InvalidArgument for sizes that do not fit.
  NearestReward(WindowLayout layout, Normalizer normalizer, std::vector<int> channels,
                std::vector<float> rows);
  /// Throws Error naming the file, the field, what was expected and found.
  static std::shared_ptr<NearestReward> load(const std::filesystem::path& path,
                                             const std::string& device = "cpu");
  void save(const std::filesystem::path& path) const;

  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override;
  void score(std::span<const float> windows, std::span<float> out) const override;

 private:
  WindowLayout layout_;
  Normalizer normalizer_;
  std::vector<int> channels_;  // columns of a row that are read
  KdTree rows_;
};

/// Keeps config.support_points of the expert's rows, drawn with config.seed, in config.channels; of the rest of the config
/// nothing has a meaning here. With `folder` it writes reward.safetensors there.
std::shared_ptr<NearestReward> fit_nearest(const WindowModel& like, const WindowSource& source,
                                           const ExtractConfig& config = {},
                                           const std::filesystem::path& folder = {});

}  // namespace diffreward
