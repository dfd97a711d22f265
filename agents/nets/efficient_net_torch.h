// EfficientNet-Lite0, an image classifier's trunk: inverted residual bottlenecks (Sandler et al. 2018, "MobileNetV2") with
// the sizes of EfficientNet-B0 (Tan and Le 2019), without squeeze-and-excitation and with ReLU6. Parameters carry the
// names of PyTorch's public ports.
//
//   stem      3 x 3 convolution, stride 2, to 32 channels
//   block     expand (1 x 1, to 6 times the channels; the first block does not), depthwise (k x k), project (1 x 1); each is
//             normalised by running statistics, the first two clipped to [0, 6]; plus the input where sizes allow
//   head      1 x 1 convolution to 1280 channels, clipped, mean over positions
//
// Convolutions are padded as TensorFlow's "SAME": the output is ceil(input / stride), of an odd number of pixels the
// larger half lies right and below.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agents/nets/parameters_torch.h"

namespace diffreward {

class EfficientNetLite0 {
 public:
  static constexpr std::int64_t kFeatures = 1280;

  /// Of a file, frozen, or of a seed, whose numbers mean nothing.
  explicit EfficientNetLite0(Parameters parameters);
  /// Of a safetensors file of the published weights, frozen. Throws Error naming the file and what is not as expected.
  static EfficientNetLite0 open(const std::filesystem::path& file, const torch::Device& device);
  /// Leaves out of a state dict what features do not need: the classifier and the counters of batches. For
  /// Safetensors::renamed().
  static std::string parameter_name(const std::string& name, TensorBytes& tensor);

  /// rgb: [n, 3, h, w], 0 to 255  ->  [n, kFeatures]
  torch::Tensor features(const torch::Tensor& rgb) const;
  /// What the trunk has found where it halves the picture next, and at its end: five maps [n, channels, h', w'] of 1/2 to
  /// 1/32 of the height and width.
  std::vector<torch::Tensor> maps(const torch::Tensor& rgb) const;

  Parameters parameters;

 private:
  struct Layer {  // convolution without bias, normalised
    torch::Tensor kernel, weight, bias, mean, variance;
    std::int64_t stride, groups;
    torch::Tensor operator()(const torch::Tensor& x) const;
  };
  struct Block {
    std::optional<Layer> expand;
    Layer depthwise, project;
    bool adds;  // its input
    torch::Tensor operator()(const torch::Tensor& x) const;
  };
  Layer layer(const std::string& convolution, const std::string& norm, std::int64_t in, std::int64_t out,
              std::int64_t kernel, std::int64_t stride = 1, std::int64_t groups = 1);
  std::vector<Block> make_blocks();

  Layer stem_;
  std::vector<Block> blocks_;
  Layer head_;
};

}  // namespace diffreward
