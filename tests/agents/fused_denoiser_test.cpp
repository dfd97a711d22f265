// The kernels' denoisers against the plain ATen ones: outputs and gradients over random shapes, odd ones too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "agents/diffusion/fused_denoiser_torch.h"
#include "agents/nets/engine_side_torch.h"
#include "core/rng.h"
#include "tests/agents/against_aten.h"

namespace diffreward {
namespace {

struct Case {
  int horizon, width, dim;
  std::vector<int> dim_mults;
  bool attention;
  int n;
  int layers = 0;  // of a residual MLP; 0: a U-Net
  std::string name() const {
    std::string text = (layers > 0 ? "mlp" + std::to_string(layers) : "unet") + "_h" +
                       std::to_string(horizon) + "w" + std::to_string(width) + "d" + std::to_string(dim) +
                       "x";
    for (const int m : dim_mults) text += std::to_string(m);
    return text + (attention ? "a" : "") + "n" + std::to_string(n);
  }
};

std::unique_ptr<DenoiserNet> make(const Case& c, torch::ScalarType type) {
  DiffusionConfig config{.horizon = c.horizon,
                         .stride = 1,
                         .net = c.layers > 0 ? "mlp" : "unet",
                         .dim = c.dim,
                         .attention = c.attention};
  config.dim_mults = c.dim_mults;
  config.layers = c.layers;
  auto net = make_denoiser(config, WindowLayout{c.horizon, 1, 1, c.width - 1}, Parameters(1, torch::kCPU));
  torch::Generator rng = at::detail::createCPUGenerator(2);
  for (const auto& [name, parameter] : net->parameters.named()) {
    // Gains and offsets of normalisations that are not 1 and 0, so that no gradient hides.
    torch::Tensor value = parameter.detach().clone();
    if (value.dim() != 2 && value.numel() == value.size(value.dim() == 3 ? 1 : 0))
      value += 0.3 * torch::randn(value.sizes(), rng);
    torch::Tensor(parameter).set_data(value.to(type));
  }
  return net;
}

struct Outcome {
  torch::Tensor y, dx;
  std::vector<torch::Tensor> gradients;
};

Outcome run(const DenoiserNet& net, const torch::Tensor& x, const torch::Tensor& t,
            const torch::Tensor& above, bool kernels) {
  const Kernels guard(kernels);
  const torch::Tensor input = x.detach().clone().requires_grad_(true);
  std::vector<torch::Tensor> from = {input};
  for (const auto& [name, parameter] : net.parameters.named()) from.push_back(parameter);
  const torch::Tensor y = net.forward(input, t);
  std::vector<torch::Tensor> all = torch::autograd::grad({y}, from, {above});
  return {y.detach(), all[0], {all.begin() + 1, all.end()}};
}

class FusedDenoiserShapes : public ::testing::TestWithParam<Case> {};

void compare(const Case& c, torch::ScalarType type, double forward, double backward) {
  const auto made = make(c, type);
  const DenoiserNet& net = *made;
  torch::Generator rng = at::detail::createCPUGenerator(3);
  const auto options = torch::dtype(torch::kFloat);
  const torch::Tensor x = torch::randn({c.n, c.horizon, c.width}, rng, options).to(type);
  const torch::Tensor above = torch::randn({c.n, c.horizon, c.width}, rng, options).to(type);
  for (const bool same_time : {false, true}) {
    const torch::Tensor t =
        same_time ? torch::full({c.n}, 7, torch::kLong) : torch::randint(0, 100, {c.n}, rng, torch::kLong);
    const Outcome fused = run(net, x, t, above, true), plain = run(net, x, t, above, false);
    EXPECT_LE(relative_error(fused.y, plain.y), forward) << "output";
    EXPECT_LE(relative_error(fused.dx, plain.dx), backward) << "gradient in x";
    for (std::size_t i = 0; i < plain.gradients.size(); ++i) {
      const std::string& name = net.parameters.named()[i].first;
      // The bias before a normalisation over groups of one channel has no gradient but rounding.
      const double scale = plain.gradients[i].abs().max().item<double>();
      const double error = (fused.gradients[i] - plain.gradients[i]).abs().max().item<double>();
      EXPECT_LE(error, backward * std::max(scale, 0.1)) << name << " of size " << scale;
    }
    const torch::NoGradGuard no_grad;
    const Kernels on(true);
    EXPECT_LE(relative_error(net.forward(x, t), plain.y), forward) << "without a graph";
  }
}

TEST_P(FusedDenoiserShapes, EqualsPlainInFloat) {
  compare(GetParam(), torch::kFloat, 1e-5, 1e-4);
}
TEST_P(FusedDenoiserShapes, EqualsPlainInDouble) {
  compare(GetParam(), torch::kDouble, 1e-10, 1e-10);
}

INSTANTIATE_TEST_SUITE_P(
    Some, FusedDenoiserShapes,
    ::testing::Values(Case{8, 6, 16, {1, 2}, false, 5}, Case{8, 6, 16, {1, 2}, true, 5},
                      Case{16, 3, 8, {1, 3, 2}, false, 1}, Case{16, 3, 8, {1, 3, 2}, true, 1},
                      Case{4, 23, 32, {1, 4, 8}, true, 7}, Case{32, 14, 32, {1, 2, 4, 8}, false, 9},
                      Case{12, 2, 24, {1}, true, 3}, Case{6, 5, 40, {2, 1}, false, 2},
                      Case{1, 2, 32, {1}, true, 33}, Case{20, 7, 16, {1, 2, 1}, false, 70},
                      Case{1, 6, 64, {}, false, 1, 3}, Case{5, 3, 40, {}, false, 70, 2},
                      Case{2, 2, 8, {}, false, 7, 1}),
    [](const auto& test) { return test.param.name(); });

class FusedDenoiserOf : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Each, FusedDenoiserOf,
                         ::testing::Values(Case{8, 6, 16, {1, 2}, true, 5}, Case{8, 6, 16, {}, false, 5, 2}),
                         [](const auto& test) { return test.param.name(); });

TEST_P(FusedDenoiserOf, NotANumberStaysInItsSequence) {
  const auto made = make(GetParam(), torch::kFloat);
  const DenoiserNet& net = *made;
  const Kernels on(true);
  torch::Tensor x = torch::randn({3, 8, 6});
  x[1][2][3] = std::numeric_limits<float>::quiet_NaN();
  const torch::NoGradGuard no_grad;
  const torch::Tensor y = net.forward(x, torch::tensor({1, 2, 3}, torch::kLong));
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_FALSE(y[0].isnan().any().item<bool>() || y[2].isnan().any().item<bool>());
}

TEST_P(FusedDenoiserOf, OtherInputsMeetTheErrorsOfPlainAten) {
  const auto made = make(GetParam(), torch::kFloat);
  const DenoiserNet& net = *made;
  const auto message = [&](bool kernels, const torch::Tensor& x, const torch::Tensor& t) -> std::string {
    const Kernels guard(kernels);
    try {
      (void)net.forward(x, t);
      return "no error";
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
  };
  const torch::Tensor t = torch::tensor({1, 2}, torch::kLong);
  const torch::Tensor good = torch::randn({2, 8, 6});
  EXPECT_EQ(message(true, good, t), "no error");
  EXPECT_EQ(message(true, torch::randn({2, 6, 8}).transpose(1, 2), t), "no error") << "not contiguous";
  EXPECT_EQ(message(true, torch::empty({0, 8, 6}), torch::empty({0}, torch::kLong)), "no error") << "empty";
  for (const torch::Tensor& bad :
       {torch::randn({2, 8, 5}), torch::randn({2, 8}), torch::randn({2, 8, 6}, torch::kDouble)}) {
    EXPECT_NE(message(true, bad, t), "no error");
    EXPECT_EQ(message(true, bad, t), message(false, bad, t));
  }
  // A device that has no memory stands for every other one.
  const torch::Tensor x_elsewhere = good.to(torch::kMeta), t_elsewhere = t.to(torch::kMeta);
  EXPECT_EQ(message(true, x_elsewhere, t), message(false, x_elsewhere, t));
  EXPECT_EQ(message(true, good, t_elsewhere), message(false, good, t_elsewhere));
  EXPECT_NE(message(true, good, t_elsewhere), "no error");
}

TEST_P(FusedDenoiserOf, SeesChangedWeightsAndRefusesStaleGraphs) {
  const auto made = make(GetParam(), torch::kFloat);
  const DenoiserNet& net = *made;
  const Kernels on(true);
  const torch::Tensor x = torch::randn({2, 8, 6}), t = torch::tensor({1, 2}, torch::kLong);
  const torch::Tensor before = net.forward(x, t);
  {
    const torch::NoGradGuard no_grad;
    torch::Tensor(net.parameters.named()[0].second).mul_(1.5);
  }
  EXPECT_FALSE(torch::equal(before, net.forward(x, t)));
  EXPECT_THROW(before.sum().backward(), c10::Error);
}

TEST_P(FusedDenoiserOf, SeesWeightsThatChangeAsOneFlatVector) {
  const auto made = make(GetParam(), torch::kFloat);
  const Kernels on(true);
  const torch::Tensor flat = made->parameters.flatten();
  const torch::Tensor x = torch::randn({2, 8, 6}), t = torch::tensor({1, 2}, torch::kLong);
  const torch::NoGradGuard no_grad;
  const torch::Tensor before = made->forward(x, t);
  flat.mul_(1.5);
  const torch::Tensor after = made->forward(x, t);
  EXPECT_FALSE(torch::equal(before, after));
  const Kernels off(false);
  EXPECT_LE(relative_error(after, made->forward(x, t)), 1e-5);
}

TEST_P(FusedDenoiserOf, CollectsTheGradientsOfPlainAten) {
  const auto made = make(GetParam(), torch::kFloat);
  const torch::Tensor collected = made->parameters.collect_gradients();
  const torch::Tensor x = torch::randn({40, 8, 6}), t = torch::randint(0, 50, {40}, torch::kLong);
  const auto gradient = [&](bool kernels) {
    const Kernels guard(kernels);
    collected.zero_();
    for (int batch = 0; batch < 2; ++batch) made->forward(x, t).square().mean().backward();  // adds up
    return collected.clone();
  };
  const torch::Tensor fused = gradient(true), plain = gradient(false);
  EXPECT_LE(relative_error(fused, plain), 1e-5);
  EXPECT_GT(plain.abs().max().item<double>(), 0);
}

TEST_P(FusedDenoiserOf, GradientsOfGradientsAreThoseOfPlainAten) {
  const auto made = make(GetParam(), torch::kDouble);
  const DenoiserNet& net = *made;
  const torch::Tensor x0 = torch::randn({2, 8, 6}, torch::kDouble), t = torch::tensor({1, 2}, torch::kLong);
  const auto second = [&](bool kernels) {
    const Kernels guard(kernels);
    const torch::Tensor x = x0.clone().requires_grad_(true);
    const torch::Tensor dx =
        torch::autograd::grad({net.forward(x, t).square().sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({dx.square().sum()}, {x, net.parameters.named()[0].second});
  };
  const auto fused = second(true), plain = second(false);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_LE(relative_error(fused[i], plain[i]), 1e-10);
}

TEST_P(FusedDenoiserOf, CanBeWalkedTwiceAndBySeveralThreads) {
  const auto made = make(GetParam(), torch::kFloat);
  const DenoiserNet& net = *made;
  const Kernels on(true);
  const torch::Tensor x = torch::randn({70, 8, 6}).requires_grad_(true),
                      t = torch::randint(0, 50, {70}, torch::kLong);
  const int before = torch::get_num_threads();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int threads : {1, 2, 3}) {
    torch::set_num_threads(threads);
    const torch::Tensor y = net.forward(x, t);
    const std::vector<torch::Tensor> from = {x, net.parameters.named()[0].second,
                                             net.parameters.named()[9].second};
    const auto first = torch::autograd::grad({y.square().sum()}, from, {}, /*retain_graph=*/true);
    const auto second = torch::autograd::grad({y.square().sum()}, from);
    for (std::size_t i = 0; i < from.size(); ++i) EXPECT_TRUE(torch::equal(first[i], second[i]));
    results.push_back(first);
  }
  torch::set_num_threads(before);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_TRUE(torch::equal(results[0][i], results[1][i]) && torch::equal(results[0][i], results[2][i]));
}

TEST(TrainingPart, GivesTwoThreadsWorkAndBoundsTheParts) {
  EXPECT_EQ(training_part(1024, 32, 8), 128);  // as many parts as there may be
  EXPECT_EQ(training_part(128, 32, 8), 32);
  EXPECT_EQ(training_part(64, 32, 8), 32);
  EXPECT_EQ(training_part(32, 32, 8), 16);  // two parts of a batch that would be one
  EXPECT_EQ(training_part(17, 32, 8), 9);
  EXPECT_EQ(training_part(8, 32, 8), 8);  // too few to divide
  EXPECT_EQ(training_part(64, 4, 16), 4);
}

}  // namespace
}  // namespace diffreward
