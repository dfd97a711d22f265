// Noised windows of expert and base data: what extraction and the discriminator learn from.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

#include "agents/diffusion/training_batch_net.h"
#include "rewards/relative/relative_reward.h"

namespace diffreward {

struct NoisedBatch {
  torch::Tensor x_t;          // [n, horizon, width] model units
  torch::Tensor t;            // [n] int64
  torch::Tensor from_expert;  // [n] 1 for expert data, 0 for base data
};

class NoisedWindows {
 public:
  enum class Part { kTrain, kHeldOut };
  /// Streams of random numbers for different uses.
  enum Stream : std::uint64_t {
    kTraining = 0,
    kScales = 1,
    kReport = 2,
    kStatistics = 3,
    kBaseRows = 4,
    kCalibration = 5
  };

  /// Splits both data sets by episode. Throws InvalidArgument naming the data set whose columns do not fit
  /// the model's layout, or that has no window in one of the parts.
  NoisedWindows(const Dataset& expert_data, const Dataset& base_data, const DenoisingModel& model,
                const ExtractConfig& config);

  /// Batch number `index` of a stream: x_0 from expert data in the configured share, evenly interleaved,
  /// noised to `t` or to timesteps drawn uniformly. A pure function of its arguments and the seed, drawn on
  /// the CPU, so equal on every device.
  NoisedBatch draw(int n, Part part, Stream stream, std::uint64_t index, std::optional<int> t = {}) const;

  /// Windows of base data of another horizon, data units, [n, horizon, width].
  std::vector<float> base_windows(int n, int horizon, Part part, Stream stream) const;

 private:
  struct Source {
    WindowSampler windows;
    EpisodeWindows train, held_out;
    Source(const char* name, const Dataset& data, const WindowLayout& layout, const Split& split);
    const EpisodeWindows& part(Part part) const { return part == Part::kTrain ? train : held_out; }
  };

  const DenoisingModel& model_;
  const ExtractConfig& config_;
  Dataset base_data_;
  Split base_split_;
  Source expert_, base_;
};

}  // namespace diffreward
