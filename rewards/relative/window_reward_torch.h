// What every learned reward over windows has in common: a net that reads chosen channels of rows, the layouts
// it reads them from, the normaliser, the chain, and their place in a file.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agents/nets/nets_torch.h"
#include "rewards/relative/reward_net_torch.h"

namespace diffreward {

class WindowReward {
 public:
  /// A fresh net, over samples of this model. Throws InvalidArgument naming the setting that does not fit them.
  WindowReward(const ExtractConfig& config, const WindowModel& like);
  /// Reads what add_to() wrote. Throws Error naming the file, the entry, what was expected and found.
  WindowReward(const Safetensors& file, const std::filesystem::path& path, const std::string& kind,
               const std::string& device);
  void add_to(NamedTensors& tensors, std::map<std::string, std::string>& metadata,
              const std::string& kind) const;

  // Over whole samples, x: [n, rows, width] model units, t: [n]. An MLP serves any number of rows, as the sum
  // over their windows. Throws InvalidArgument for other shapes.
  torch::Tensor value(const torch::Tensor& x, const torch::Tensor& t) const;     // [n]
  torch::Tensor gradient(const torch::Tensor& x, const torch::Tensor& t) const;  // [n, rows, width]

  /// windows: [n, layout.horizon, width] data units, out: [n]. Throws InvalidArgument for other sizes or
  /// timesteps.
  void score(int t, std::span<const float> windows, std::span<float> out) const;

  /// The channels read of windows in data units, in model units; `clip` limits them to [-1, 1] where the
  /// normaliser is "limits".
  std::vector<float> read(std::span<const float> windows, bool clip) const;  // [n, layout.horizon, channels]
  /// The channels read of tensors in model units.
  torch::Tensor select(const torch::Tensor& x) const;  // [..., channels]
  RewardNetShape shape() const;
  /// Number of windows; throws InvalidArgument unless the sizes agree.
  std::size_t count(std::span<const float> windows, std::size_t out) const;

  ExtractConfig config;
  WindowLayout sample;    // the diffusion models'
  WindowLayout layout;    // what score() reads
  Normalizer normalizer;  // of a row
  NoiseSchedule schedule;
  std::optional<DiffusionConfig> denoiser;  // of the models, where they are nets
  std::vector<std::int64_t> channels;       // columns of a row, never empty
  Reads reads;
  std::unique_ptr<RewardNet> net;  // its weights are never trained themselves, but average those in training
  Json provenance = Json::object();

 private:
  /// `values` gives the net's parameters; it is called after the cheap checks.
  WindowReward(const ExtractConfig& config, const WindowLayout& sample, Normalizer normalizer,
               const NoiseSchedule& schedule, std::optional<DiffusionConfig> denoiser,
               const std::function<Parameters()>& values);
  /// Windows in x over windows in a sample of the diffusion models.
  double length_share(const torch::Tensor& x) const;

  torch::Tensor indices_;  // channels
};

}  // namespace diffreward
