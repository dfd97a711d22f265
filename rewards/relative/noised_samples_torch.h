// Noised samples of expert and base data: what extraction and the discriminator learn from.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

#include "agents/diffusion/denoising_model.h"
#include "agents/diffusion/noise_levels_torch.h"
#include "rewards/relative/relative_reward.h"
#include "rewards/relative/sample_source.h"

namespace diffreward {

/// A random order of n samples, [n] int64: number `index` of the shuffles of a null.
torch::Tensor shuffled_order(std::int64_t n, const ExtractConfig& config, std::uint64_t index);

struct NoisedBatch {
  torch::Tensor x_t;          // [n, ...] model units
  torch::Tensor t;            // [n] int64
  torch::Tensor from_expert;  // [n] 1 for expert data, 0 for base data
  torch::Tensor paid;         // [n] SampleSource::draw_paid; undefined where it was not asked for
  torch::Tensor drawn;  // [n, ...] 1 for noised numbers, 0 for given ones; undefined where none is given
};

class NoisedSamples {
 public:
  /// Source and config must live as long. `paid`: batches tell what their samples earn.
  NoisedSamples(const SampleSource& source, const DenoisingModel& model, const ExtractConfig& config,
                bool paid = false)
      : source_(source),
        config_(config),
        paid_(paid),
        timesteps_(model.schedule().timesteps),
        levels_(model.schedule(), torch::Device(model.device())) {}

  /// Batch number `index` of a stream: x_0 from expert data in the configured share, evenly interleaved,
  /// noised to `t` or to timesteps drawn uniformly; what is given of a sample (condition_probability) stays clean. A
  /// pure function of its arguments and the seed, drawn on the CPU, so equal on every device.
  NoisedBatch draw(int n, Part part, Draw stream, std::uint64_t index, std::optional<int> t = {}) const;

 private:
  const SampleSource& source_;
  const ExtractConfig& config_;
  const bool paid_;
  const int timesteps_;
  const NoiseLevels levels_;
};

}  // namespace diffreward
