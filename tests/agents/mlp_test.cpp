// The MLP by kernels against its definition in ATen: values and gradients, for one net and for two.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "agents/kernels/enabled.h"
#include "agents/nets/mlp_torch.h"
#include "agents/nets/optimizer_torch.h"

namespace diffreward {
namespace {

struct Outcome {
  torch::Tensor y, dx;
  std::vector<torch::Tensor> gradients;
};

Outcome run(const Mlp& mlp, const Parameters& parameters, const torch::Tensor& x, bool by_kernels,
            bool trained) {
  enable_kernels(by_kernels);
  const torch::Tensor input = x.clone().requires_grad_();
  for (const auto& [name, parameter] : parameters.named()) parameter.mutable_grad().reset();
  Outcome out;
  out.y = mlp(input, trained);
  // a gradient that differs from net to net and row to row
  (out.y * torch::linspace(-1, 2, out.y.numel()).view(out.y.sizes())).sum().backward();
  out.dx = input.grad();
  for (const auto& [name, parameter] : parameters.named()) out.gradients.push_back(parameter.grad());
  enable_kernels(true);
  return out;
}

void expect_close(const torch::Tensor& a, const torch::Tensor& b, const std::string& what) {
  ASSERT_EQ(a.defined(), b.defined()) << what;
  if (!a.defined()) return;
  const double scale = std::max(1.0, b.abs().max().item<double>());
  EXPECT_LT((a - b).abs().max().item<double>(), 2e-5 * scale) << what;
}

TEST(Mlp, EqualsItsDefinitionWithGradients) {
  struct Case {
    int nets;
    bool layer_norm;
    MlpShape::Activation activation = MlpShape::Activation::kRelu;
    std::vector<int> hidden = {16, 24};
  };
  // Wide enough for parts of the rows, and narrower.
  const std::vector<int> wide = {1024, 64};
  for (const auto& [nets, layer_norm, activation, hidden] :
       {Case{1, false}, Case{2, false}, Case{1, true}, Case{2, true},
        Case{1, false, MlpShape::Activation::kTanh}, Case{2, true, MlpShape::Activation::kTanh},
        Case{1, true, MlpShape::Activation::kRelu, wide}, Case{2, true, MlpShape::Activation::kRelu, wide},
        Case{2, false, MlpShape::Activation::kTanh, wide}})
    for (const std::int64_t n : {1, 7, 256, 300, 700}) {
      Parameters parameters(Seed(3), torch::kCPU);
      const Mlp mlp(parameters, "q", {5, hidden, 3, layer_norm, activation}, nets);
      {
        const torch::NoGradGuard no_grad;
        torch::manual_seed(1);
        for (const auto& [name, value] : parameters.named())
          if (name.find("norm") != std::string::npos) value.copy_(torch::rand_like(value) + 0.5);
      }
      const torch::Tensor x = torch::randn({n, 5});
      for (const bool trained : {true, false}) {
        const Outcome found = run(mlp, parameters, x, true, trained),
                      expected = run(mlp, parameters, x, false, trained);
        const std::string what =
            concat("layer_norm ", layer_norm, ", tanh ", activation == MlpShape::Activation::kTanh, ", nets ",
                   nets, ", units ", hidden[0], ", n ", n, ", trained ", trained);
        EXPECT_EQ(found.y.sizes(), (std::vector<std::int64_t>{nets, n, 3}));
        expect_close(found.y, expected.y, what);
        expect_close(found.dx, expected.dx, what + ", dx");
        for (std::size_t k = 0; k < found.gradients.size(); ++k) {
          EXPECT_EQ(found.gradients[k].defined(), trained) << what;
          expect_close(found.gradients[k], expected.gradients[k], what + ", " + parameters.named()[k].first);
        }
      }
      const torch::Tensor expected = run(mlp, parameters, x, false, true).y.detach();
      const torch::InferenceMode inference;
      expect_close(mlp(x), expected, "without a graph");
    }
}

TEST(Mlp, EachRowDependsOnNoOther) {
  for (const MlpShape& shape :
       {MlpShape{17, {256, 256}, 12}, MlpShape{11, {64, 64}, 3, false, MlpShape::Activation::kTanh},
        MlpShape{5, {16, 24}, 1, true}, MlpShape{4, {13}, 2, false, MlpShape::Activation::kTanh}})
    for (const int nets : {1, 2}) {
      Parameters parameters(Seed(3), torch::kCPU);
      const Mlp mlp(parameters, "q", shape, nets);
      torch::manual_seed(2);
      const torch::Tensor x = torch::randn({300, shape.in}), whole = mlp.each_row(x);
      expect_close(whole, mlp(x, false).detach(), "each row");
      EXPECT_FALSE(whole.requires_grad());
      for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{0, 1},
                                         {17, 1},
                                         {3, 2},
                                         {60, 3},
                                         {1, 9},
                                         {7, 63},
                                         {64, 64},
                                         {130, 65},
                                         {299, 1},
                                         {5, 295}})
        EXPECT_TRUE(torch::equal(mlp.each_row(x.narrow(0, first, count)), whole.narrow(1, first, count)))
            << count << " rows from " << first << " on, " << shape.in << " in";
    }
}

TEST(Mlp, SeesEveryStepOfItsOptimiser) {
  Parameters parameters(Seed(1), torch::kCPU);
  const Mlp mlp(parameters, "net", {3, {8}, 1});
  Optimizer optimizer(parameters);
  const torch::Tensor x = torch::randn({32, 3}), target = x.sum(1);
  double first = 0, last = 0;
  for (int step = 0; step < 400; ++step) {
    const torch::Tensor loss = (mlp(x)[0].squeeze(1) - target).square().mean();
    loss.backward();
    optimizer.step({.lr = 1e-2, .weight_decay = 0, .gradient_clip = 0}, 0);
    (step == 0 ? first : last) = loss.item<double>();
  }
  EXPECT_LT(last, 0.01 * first);
}

TEST(Mlp, OddWidthsTakeTheWayOfATen) {
  Parameters parameters(Seed(1), torch::kCPU);
  const Mlp mlp(parameters, "net", {3, {7}, 1});
  EXPECT_EQ(mlp(torch::randn({4, 3})).sizes(), (std::vector<std::int64_t>{1, 4, 1}));
}

}  // namespace
}  // namespace diffreward
