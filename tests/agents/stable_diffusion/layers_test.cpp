#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/layers_torch.h"
#include "agents/stable_diffusion/winograd_torch.h"
#include "core/safetensors.h"

namespace diffreward {
namespace {

constexpr std::int64_t kIn = 24, kOut = 40;

/// Outputs have unit variance (weights below), so this is what float's rounding may make of them: sums of up to
/// 600 products, in orders that differ between processors and between Winograd's filters and the plain sum.
constexpr double kRounding = 2e-5;

/// Weights of a layer as it is initialised: normal, with the inverse of the fan-in as variance.
torch::Tensor weights_of_unit_gain(std::int64_t out, std::int64_t in, std::int64_t kernel) {
  return torch::randn({out, in, kernel, kernel}) / std::sqrt(static_cast<double>(in * kernel * kernel));
}

/// A convolution whose weights lie in a file, as those of a net that is used as it is.
struct Frozen {
  Frozen(std::int64_t kernel, std::int64_t stride, std::int64_t in = kIn, std::int64_t out = kOut,
         torch::ScalarType type = torch::kFloat)
      : path(std::filesystem::path(testing::TempDir()) / "layers.safetensors"),
        weight(weights_of_unit_gain(out, in, kernel)),
        bias(torch::randn({out})) {
    save_tensors(path, {{"conv.weight", weight}, {"conv.bias", bias}}, {});
    const Safetensors file = Safetensors::open(path);
    Parameters parameters(file, path, "", torch::kCPU, type);
    conv.emplace(parameters, "conv", in, out, kernel, stride, kernel / 2);
  }
  torch::Tensor expected(const torch::Tensor& x) const {
    return torch::conv2d(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble),
                         conv->stride, conv->padding)
        .to(torch::kFloat);
  }
  std::filesystem::path path;
  torch::Tensor weight, bias;
  std::optional<Conv2d> conv;
};

TEST(Conv2d, PackedWeightsServeEveryShape) {
  for (const auto& [kernel, stride] : {std::pair{1, 1}, {3, 1}, {3, 2}}) {
    const Frozen with(kernel, stride);
    const Conv2d copy = *with.conv;  // made before anything is packed
    for (const auto& [n, h, w] : {std::tuple{1, 16, 16}, {3, 15, 17}, {2, 1, 1}, {1, 64, 8}}) {
      for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
        const torch::Tensor x = torch::randn({n, kIn, h, w}).contiguous(format), before = x.clone();
        for (const Conv2d* conv : {&*with.conv, &copy}) {
          const torch::Tensor y = (*conv)(x);
          ASSERT_EQ(y.sizes(), with.expected(x).sizes());
          EXPECT_LE((y - with.expected(x)).abs().max().item<float>(), kRounding)
              << "kernel " << kernel << ", stride " << stride << ", " << x.sizes();
          EXPECT_TRUE(x.equal(before));
        }
      }
    }
    EXPECT_TRUE(with.conv->weight.equal(with.weight));  // let go, read again
  }
}

TEST(Winograd, IsTheConvolution) {
  for (const auto& [n, h, w] : {std::tuple{1, 2, 2}, {3, 15, 17}, {2, 1, 1}, {1, 64, 8}, {2, 1, 30}}) {
    const torch::Tensor weight = weights_of_unit_gain(32, 48, 3), bias = torch::randn({32});
    for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
      const torch::Tensor x = torch::randn({n, 48, h, w}).contiguous(format);
      const torch::Tensor expected =
          torch::conv2d(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble), 1, 1);
      const torch::Tensor found = winograd_convolution(x, winograd_weight(weight), bias);
      ASSERT_EQ(found.sizes(), expected.sizes());
      EXPECT_LE((found - expected).abs().max().item<double>(), kRounding) << x.sizes();
      EXPECT_TRUE(found.is_contiguous(torch::MemoryFormat::ChannelsLast));
    }
  }
}

TEST(Conv2d, LargeMapsAndSmallOnesAgree) {
  for (const std::int64_t channels : {24, 64}) {  // the latter filtered on the large map
    Frozen with(3, 1, channels, channels);
    with.conv->filtered = true;
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = torch::randn({2, channels, 40, 40}), y = (*with.conv)(x);
    EXPECT_LE((y - with.expected(x)).abs().max().item<float>(), kRounding);
    using torch::indexing::Slice;
    const torch::Tensor corner = x.index({Slice(), Slice(), Slice(0, 20), Slice(0, 20)});
    const torch::Tensor inner = ((*with.conv)(corner)-y.index({Slice(), Slice(), Slice(0, 20), Slice(0, 20)}))
                                    .index({Slice(), Slice(), Slice(0, 19), Slice(0, 19)});
    EXPECT_LE(inner.abs().max().item<float>(), kRounding);
    EXPECT_TRUE(with.conv->weight.equal(with.weight));
  }
}

TEST(Conv2d, PackedWeightsOfBfloat16) {
  constexpr double kEpsilon = 1.0 / 128;  // of bfloat16
  for (const auto& [kernel, stride] : {std::pair{1, 1}, {3, 1}, {3, 2}}) {
    const Frozen with(kernel, stride, kIn, kOut, torch::kBFloat16);
    const torch::NoGradGuard no_grad;
    for (const std::int64_t side : {9, 40}) {
      const torch::Tensor x = torch::randn({2, kIn, side, side}).to(torch::kBFloat16), y = (*with.conv)(x);
      ASSERT_EQ(y.scalar_type(), torch::kBFloat16);
      const torch::Tensor exact = with.expected(x);
      EXPECT_LE((y.to(torch::kDouble) - exact).abs().max().item<double>(),
                3 * kEpsilon * exact.abs().max().item<double>())
          << "kernel " << kernel << ", stride " << stride << ", side " << side;
    }
  }
}

TEST(Conv2d, PackedWeightsLeaveTheGradientInTheInput) {
  const Frozen with(3, 1);
  const torch::Tensor x = torch::randn({2, kIn, 9, 9}).set_requires_grad(true);
  {
    const torch::NoGradGuard no_grad;
    (*with.conv)(x);  // packs
  }
  const torch::Tensor up = torch::randn({2, kOut, 9, 9});
  const torch::Tensor found = torch::autograd::grad({(*with.conv)(x)}, {x}, {up})[0];
  const torch::Tensor expected =
      torch::autograd::grad({torch::conv2d(x, with.weight, with.bias, 1, 1)}, {x}, {up})[0];
  EXPECT_LE((found - expected).abs().max().item<float>(), kRounding);
}

TEST(Conv2d, WeightsThatLearnAreReadAtEveryCall) {
  Parameters parameters(Seed(1), torch::kCPU);
  const Conv2d conv(parameters, "conv", kIn, kOut, 3, 1, 1);
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({1, kIn, 8, 8}), before = conv(x);
  torch::Tensor(conv.weight).zero_();
  EXPECT_FALSE(conv(x).equal(before));
  EXPECT_TRUE(conv(x).sub(conv.bias.view({1, kOut, 1, 1})).eq(0).all().item<bool>());
}

TEST(ResnetBlock2d, WritesNothingOverThatIsReadAgain) {
  Parameters parameters(Seed(1), torch::kCPU);
  for (const std::int64_t out : {kIn, kOut}) {
    const ResnetBlock2d block(parameters, "block" + std::to_string(out), kIn, out, 8, 1e-5, 16);
    const torch::Tensor x = torch::randn({2, kIn, 8, 8}), e = torch::randn({2, 16}), x0 = x.clone(),
                        e0 = e.clone();
    const torch::Tensor with_gradient = block(x, e);
    const torch::NoGradGuard no_grad;
    EXPECT_TRUE(block(x, e).equal(with_gradient));
    EXPECT_TRUE(x.equal(x0) && e.equal(e0));
  }
}

}  // namespace
}  // namespace diffreward
