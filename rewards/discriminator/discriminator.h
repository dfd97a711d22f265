// The baseline of a relative reward: a classifier of expert against base data on noised windows, with the
// same nets and sizes, as in the paper's comparison.
//
//   logit = argmin_r  E_{t, x_t} [ -y log sigma(r(x_t, t)) - (1 - y) log(1 - sigma(r(x_t, t))) ],  y = 1 for
//   expert data
//
// For enough data and a large enough net the logit is log p_t^expert - log p_t^base + log(share / (1 -
// share)), in nats: the same field as rho, learned from labels instead of from the two models.
#pragma once

#include "rewards/relative/relative_reward.h"

namespace diffreward {

class Discriminator final : public RewardModel, public Guide {
 public:
  static constexpr const char* kKind = "diffreward-discriminator-1";  // of its files
  /// Throws Error naming the file, the field, what was expected and found.
  static std::shared_ptr<Discriminator> load(const std::filesystem::path& path,
                                             const std::string& device = "cpu");
  void save(const std::filesystem::path& path) const;
  ~Discriminator() override;

  const ExtractConfig& config() const;
  const Normalizer& normalizer() const;  ///< of a row, the base model's
  Json& provenance();
  const Json& provenance() const;

  // Guide: the logit of whole samples in model units, [n, horizon, width].
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override;
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override;

  // RewardModel: windows as RelativeReward's of the same config.
  const WindowLayout& layout() const override;
  Reads reads() const override;
  /// The logit at read_t; inputs are clipped to the normaliser's range when it is "limits".
  void score(std::span<const float> windows, std::span<float> out) const override;
  void score_at(int t, std::span<const float> windows, std::span<float> out) const;

  struct Impl;
  explicit Discriminator(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// Trains a discriminator on windows cut, normalised and noised as `like` (the base model) has them. Of the
/// config, gradient_at, normalize_targets and support_points have no meaning here. With `folder` it writes
/// metrics.jsonl and reward.safetensors there. Throws as extract() does.
std::shared_ptr<Discriminator> train_discriminator(const WindowModel& like, const Dataset& expert_data,
                                                   const Dataset& base_data, const ExtractConfig& config = {},
                                                   const std::filesystem::path& folder = {});
/// The same on windows from anywhere.
std::shared_ptr<Discriminator> train_discriminator(const WindowModel& like, const WindowSource& source,
                                                   const ExtractConfig& config = {},
                                                   const std::filesystem::path& folder = {});

}  // namespace diffreward
