// The nets behind learned rewards by the kernels against plain ATen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <vector>

#include "rewards/relative/reward_net_torch.h"
#include "tests/agents/against_aten.h"

namespace diffreward {
namespace {

struct Case {
  std::string net;
  int rows, channels, window, n;
  std::vector<int> hidden;
  /// A pair of deep nets is a difference of large numbers.
  double rounding() const { return net == "denoisers" ? 1e-4 : 1e-5; }
  std::string name() const {
    return net + "_r" + std::to_string(rows) + "c" + std::to_string(channels) + "w" + std::to_string(window) +
           "n" + std::to_string(n) + "l" + std::to_string(hidden.size());
  }
};

constexpr int kTimesteps = 20;

std::unique_ptr<RewardNet> make(const Case& c) {
  ExtractConfig config{.net = c.net, .window = c.window, .hidden = c.hidden, .seed = 3};
  static const DiffusionConfig mlp{.dim = 32, .layers = 2},
      unet{.net = "unet", .dim = 16, .dim_mults = {1, 2}};
  auto net =
      make_reward_net(config, {c.rows, c.channels, kTimesteps, c.window == 1 ? &mlp : &unet}, Head::kScalar);
  torch::Generator rng = at::detail::createCPUGenerator(4);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, parameter] : net->parameters.named())  // gains and offsets that are not 1 and 0
    if (name.find("norm") != std::string::npos)
      torch::Tensor(parameter).add_(0.3 * torch::randn(parameter.sizes(), rng));
  return net;
}

class RewardNetKernels : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    torch::Generator rng = at::detail::createCPUGenerator(5);
    const Case& c = GetParam();
    x_ = torch::randn({c.n, c.rows, c.channels}, rng);
    target_ = torch::randn({c.n, c.rows, c.channels}, rng);
    t_ = torch::randint(0, kTimesteps, {c.n}, rng, torch::kLong);
  }
  torch::Tensor x_, target_, t_;
};

TEST_P(RewardNetKernels, GiveTheSameInputGradient) {
  const auto net = make(GetParam());
  const torch::NoGradGuard no_grad;
  for (const torch::Tensor& t : {t_, torch::full_like(t_, 7)}) {
    torch::Tensor fused, plain;
    {
      const Kernels on(true);
      fused = net->gradient(x_, t);
    }
    {
      const Kernels off(false);
      plain = net->gradient(x_, t);
    }
    EXPECT_LE(relative_error(fused, plain), GetParam().rounding());
    EXPECT_GT(plain.abs().max().item<double>(), 0);
  }
}

TEST_P(RewardNetKernels, GiveTheSameGradientOfTheMatchingLoss) {
  const auto net = make(GetParam());
  const auto gradients = [&](bool kernels) {
    const Kernels guard(kernels);
    std::vector<torch::Tensor> from;
    for (const auto& [name, parameter] : net->parameters.named()) from.push_back(parameter);
    return torch::autograd::grad({(net->gradient(x_, t_) - target_).square().mean()}, from, {}, false, false,
                                 /*allow_unused=*/true);
  };
  const auto fused = gradients(true), plain = gradients(false);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const std::string& name = net->parameters.named()[i].first;
    ASSERT_EQ(fused[i].defined(), plain[i].defined()) << name;
    if (!plain[i].defined()) continue;
    EXPECT_LE(relative_error(fused[i], plain[i]), 10 * GetParam().rounding()) << name;
  }
}

TEST_P(RewardNetKernels, FollowTheWeightsThroughTheFlatVector) {
  // An optimiser moves all weights as one vector: whoever reads them must notice, also the parts of a net.
  const auto net = make(GetParam());
  const torch::NoGradGuard no_grad;
  const torch::Tensor flat = net->parameters.flatten();
  net->gradient(x_, t_);  // has read them once
  flat.mul_(0.7);
  const torch::Tensor fused = net->gradient(x_, t_);
  const Kernels off(false);
  EXPECT_LE(relative_error(fused, net->gradient(x_, t_)), GetParam().rounding());
}

TEST_P(RewardNetKernels, GradientIsThatOfTheValue) {
  const auto net = make(GetParam());
  const torch::NoGradGuard no_grad;
  torch::Generator rng = at::detail::createCPUGenerator(6);
  const torch::Tensor step = torch::randn(x_.sizes(), rng);
  const double h = 1e-2;
  const torch::Tensor slope = (net->forward(x_ + h * step, t_) - net->forward(x_ - h * step, t_)) / (2 * h),
                      expected = (net->gradient(x_, t_) * step).flatten(1).sum(1);
  EXPECT_LE(relative_error(slope, expected), 2e-2);
}

INSTANTIATE_TEST_SUITE_P(Some, RewardNetKernels,
                         ::testing::Values(Case{"mlp", 16, 2, 1, 64, {64, 64}},
                                           Case{"mlp", 5, 3, 4, 7, {24, 8, 40}},
                                           Case{"mlp", 1, 2, 1, 1, {16}}, Case{"unet", 16, 6, 1, 9, {8}},
                                           Case{"unet", 31, 2, 1, 3, {8}}, Case{"unet", 1, 5, 1, 40, {8}},
                                           Case{"denoisers", 4, 5, 1, 9, {8}},
                                           Case{"denoisers", 8, 3, 2, 5, {8}}),
                         [](const auto& test) { return test.param.name(); });

}  // namespace
}  // namespace diffreward
