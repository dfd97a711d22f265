// The field d = mu_expert - mu_base, of posterior means, that a reward's gradient is matched to: points of it, drawn anew
// from two models or from records of them.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "agents/diffusion/denoising_model.h"
#include "agents/nets/batch_parts_torch.h"
#include "rewards/relative/noised_samples_torch.h"
#include "rewards/relative/relative_reward.h"
#include "rewards/relative/sample_source.h"

namespace diffreward {

struct FieldPoints {
  torch::Tensor x;           // [n, ...]  where the gradient is matched, model units
  torch::Tensor t;           // [n] int64
  torch::Tensor difference;  // [n, ...]  mu_expert - mu_base; 0 in what is given
  torch::Tensor drawn;       // [n, ...]  NoisedBatch's
  /// `values`, 0 in what is given.
  torch::Tensor of_drawn(const torch::Tensor& values) const {
    return drawn.defined() ? values * drawn : values;
  }
};

class DifferenceField {
 public:
  virtual ~DifferenceField() = default;
  virtual const NoiseSchedule& schedule() const = 0;
  /// Timesteps at which there are points, ascending; by default all of the schedule's.
  virtual std::vector<int> timesteps() const;
  /// Points number `index` of a stream, at one of timesteps() or at any of them. A pure function of its arguments and the
  /// seed.
  virtual FieldPoints draw(int n, Part part, Draw stream, std::uint64_t index,
                           std::optional<int> t) const = 0;
};

/// Two models, asked at noised samples, or at the base's means there (ExtractConfig::gradient_at).
class ModelField final : public DifferenceField {
 public:
  /// Everything must live as long. Throws InvalidArgument where the models differ in their schedules.
  /// `ranks`: processes that draw the same points together, each asking the models of some (ExtractConfig::accumulate parts).
  ModelField(const DenoisingModel& expert, const DenoisingModel& base, const SampleSource& source,
             const ExtractConfig& config, Ranks* ranks = nullptr);
  const NoiseSchedule& schedule() const override { return base_.schedule(); }
  FieldPoints draw(int n, Part part, Draw stream, std::uint64_t index, std::optional<int> t) const override;

 private:
  const DenoisingModel &expert_, &base_;
  const ExtractConfig& config_;
  NoisedSamples noised_;
  torch::Device device_;
  BatchParts parts_;
};

}  // namespace diffreward
