#include "agents/nets/efficient_net_torch.h"

#include <utility>

namespace diffreward {
namespace {

constexpr double kEpsilon = 1e-3;              // of the norms
constexpr double kMiddle = 127, kScale = 128;  // what a byte is brought to [-1, 1] by
constexpr std::int64_t kStem = 32, kExpansion = 6;

struct Stage {
  std::int64_t blocks, kernel, stride, channels;  // the stride is its first block's
};
constexpr Stage kStages[] = {{1, 3, 1, 16},  {2, 3, 2, 24},  {2, 5, 2, 40}, {3, 3, 2, 80},
                             {3, 5, 1, 112}, {4, 5, 2, 192}, {1, 3, 1, 320}};

/// Zeros around x, so that a convolution gives ceil(size / stride).
torch::Tensor padded(const torch::Tensor& x, std::int64_t kernel, std::int64_t stride) {
  const auto missing = [&](std::int64_t size) {
    return std::max<std::int64_t>(((size + stride - 1) / stride - 1) * stride + kernel - size, 0);
  };
  const std::int64_t down = missing(x.size(2)), across = missing(x.size(3));
  if (down == 0 && across == 0) return x;
  return torch::constant_pad_nd(x, {across / 2, across - across / 2, down / 2, down - down / 2});
}

torch::Tensor clipped(const torch::Tensor& x) {
  return x.clamp(0, 6);
}

}  // namespace

torch::Tensor EfficientNetLite0::Layer::operator()(const torch::Tensor& x) const {
  constexpr std::int64_t unpadded = 0, undilated = 1;
  const torch::Tensor convolved = torch::conv2d(padded(x, kernel.size(2), stride), kernel, torch::Tensor(),
                                                stride, unpadded, undilated, groups);
  return torch::batch_norm(convolved, weight, bias, mean, variance, /*training=*/false, 0, kEpsilon,
                           /*cudnn_enabled=*/true);
}

torch::Tensor EfficientNetLite0::Block::operator()(const torch::Tensor& x) const {
  const torch::Tensor inner = expand ? clipped((*expand)(x)) : x;
  const torch::Tensor out = project(clipped(depthwise(inner)));
  return adds ? out + x : out;
}

EfficientNetLite0::Layer EfficientNetLite0::layer(const std::string& convolution, const std::string& norm,
                                                  std::int64_t in, std::int64_t out, std::int64_t kernel,
                                                  std::int64_t stride, std::int64_t groups) {
  const std::int64_t of_group = in / groups;
  return {parameters.uniform(convolution + ".weight", {out, of_group, kernel, kernel},
                             of_group * kernel * kernel),
          parameters.constant(norm + ".weight", {out}, 1),
          parameters.constant(norm + ".bias", {out}, 0),
          parameters.constant(norm + ".running_mean", {out}, 0),
          parameters.constant(norm + ".running_var", {out}, 1),
          stride,
          groups};
}

std::vector<EfficientNetLite0::Block> EfficientNetLite0::make_blocks() {
  std::vector<Block> blocks;
  std::int64_t in = kStem;
  for (const Stage& stage : kStages)
    for (std::int64_t i = 0; i < stage.blocks; ++i) {
      const std::string name = "_blocks." + std::to_string(blocks.size()) + "._";
      const std::int64_t inner = blocks.empty() ? in : kExpansion * in, stride = i == 0 ? stage.stride : 1;
      Block block{std::nullopt,
                  layer(name + "depthwise_conv", name + "bn1", inner, inner, stage.kernel, stride, inner),
                  layer(name + "project_conv", name + "bn2", inner, stage.channels, 1),
                  stride == 1 && in == stage.channels};
      if (inner != in) block.expand = layer(name + "expand_conv", name + "bn0", in, inner, 1);
      blocks.push_back(std::move(block));
      in = stage.channels;
    }
  return blocks;
}

EfficientNetLite0::EfficientNetLite0(Parameters parameters_)
    : parameters(std::move(parameters_)),
      stem_(layer("_conv_stem", "_bn0", 3, kStem, 3, 2)),
      blocks_(make_blocks()),
      head_(layer("_conv_head", "_bn1", kStages[std::size(kStages) - 1].channels, kFeatures, 1)) {
  parameters.finish();
}

EfficientNetLite0 EfficientNetLite0::open(const std::filesystem::path& file, const torch::Device& device) {
  const Safetensors values = Safetensors::open(file).renamed(parameter_name);
  return EfficientNetLite0(Parameters(values, file, "", device, torch::kFloat));
}

std::string EfficientNetLite0::parameter_name(const std::string& name, TensorBytes&) {
  return name.starts_with("_fc.") || name.ends_with(".num_batches_tracked") ? "" : name;
}

std::vector<torch::Tensor> EfficientNetLite0::maps(const torch::Tensor& rgb) const {
  std::vector<torch::Tensor> found;
  torch::Tensor x = clipped(stem_((rgb - kMiddle) / kScale));
  for (const Block& block : blocks_) {
    if (block.depthwise.stride > 1) found.push_back(x);
    x = block(x);
  }
  found.push_back(x);
  return found;
}

torch::Tensor EfficientNetLite0::features(const torch::Tensor& rgb) const {
  return clipped(head_(maps(rgb).back())).mean({2, 3});
}

}  // namespace diffreward
