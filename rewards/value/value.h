// Diffuser's value function (Janner et al. 2022), an oracle beside rewards that nobody wrote: it is shown the task's own.
//
//   v = argmin_r  E_{t, x_t} || r(x_t, t) - z ||^2,   z = (G - mean) / deviation,   G = sum_k discount^k r_k
//
// over noised windows of recordings, G the discounted sum of the task's rewards from a window's first step to the end of
// its episode. Its gradient leads samples to windows that earn more.
#pragma once

#include "rewards/relative/relative_reward.h"

namespace diffreward {

class ValueReward final : public RewardModel, public Guide {
 public:
  static constexpr const char* kKind = "diffreward-value-1";  // of its files
  /// Throws Error naming the file, the field, what was expected and found.
  static std::shared_ptr<ValueReward> load(const std::filesystem::path& path,
                                           const std::string& device = "cpu");
  void save(const std::filesystem::path& path) const;
  ~ValueReward() override;

  const ExtractConfig& config() const;
  const Normalizer& normalizer() const;  ///< of a row, the base model's
  const Json& provenance() const;        ///< mean and deviation of G among them

  // Guide: z of whole samples in model units, [n, horizon, width].
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override;
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override;

  // RewardModel: windows as RelativeReward's of the same config.
  const WindowLayout& layout() const override;
  Reads reads() const override;
  /// z at read_t; inputs are clipped to the normaliser's range when it is "limits".
  void score(std::span<const float> windows, std::span<float> out) const override;

  struct Impl;
  explicit ValueReward(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// Trains it on windows cut, normalised and noised as `like` (the base model) has them. Of the config, gradient_at,
/// normalize_targets, null and support_points have no meaning here. With `folder` it writes metrics.jsonl and
/// reward.safetensors there. Throws as extract() does, and Error where the windows tell no rewards or all earn the same.
std::shared_ptr<ValueReward> train_value(const WindowModel& like, const WindowSource& source,
                                         const ExtractConfig& config = {},
                                         const std::filesystem::path& folder = {});

}  // namespace diffreward
