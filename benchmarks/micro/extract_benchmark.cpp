// What extraction and its reward cost: three exact ways to train the gradient-matching loss of the MLP, the
// half U-Net's step, a score of RewardedEnv's batch and a support query. docs/design/0002 and 0003 quote
// these figures.
//
//   OMP_NUM_THREADS=1 build/benchmarks/extract_benchmark
#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/torch.h>

#include "agents/device.h"
#include "rewards/relative/support.h"
#include "rewards/relative/window_reward_torch.h"

namespace diffreward {
namespace {

constexpr int kBatch = 64, kRows = 16, kTimesteps = 100;

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

/// One training batch: 64 windows of 16 rows of [x, y].
struct Batch {
  torch::Tensor x, target, t;
  Batch() {
    set_torch_threads(1);
    const std::int64_t shape[] = {kBatch, kRows, 2};
    x = torch::tensor(normals(kBatch * kRows * 2, 1)).view(shape);
    target = torch::tensor(normals(kBatch * kRows * 2, 2)).view(shape);
    t = torch::arange(kBatch, torch::kLong);
  }
};

/// Leaves the gradient of mean((d rho / d x - target)^2) in the parameters.
using Way = void (*)(const RewardNet&, const Batch&);

void closed_form(const RewardNet& net, const Batch& batch) {
  (net.gradient(batch.x, batch.t) - batch.target).square().mean().backward();
}

void double_backward(const RewardNet& net, const Batch& batch) {
  (net.autograd_gradient(batch.x, batch.t) - batch.target).square().mean().backward();
}

/// The loss's gradient is that of 2 <v, d rho / d x> / size at fixed v = d rho / d x - target: the derivative
/// of rho in direction v, carried forward by dual numbers, then one backward pass.
void forward_over_reverse(const RewardNet& net, const Batch& batch) {
  torch::Tensor v;
  {
    const torch::NoGradGuard no_grad;
    v = net.autograd_gradient(batch.x, batch.t) - batch.target;
  }
  const auto level = torch::autograd::ForwardADLevel::get_next_idx();
  const torch::Tensor out =
      net.forward(at::_make_dual(batch.x, v, static_cast<std::int64_t>(level)), batch.t);
  const torch::Tensor slope = std::get<1>(at::_unpack_dual(out, static_cast<std::int64_t>(level)));
  torch::autograd::ForwardADLevel::release_idx(level);  // the backward pass must not see dual numbers
  (slope.sum() * (2.0 / static_cast<double>(v.numel()))).backward();
}

void clear(const RewardNet& net) {
  for (const auto& [name, parameter] : net.parameters.named())
    torch::Tensor(parameter).mutable_grad().reset();
}

std::vector<torch::Tensor> gradients(const RewardNet& net, const Batch& batch, Way way) {
  clear(net);
  way(net, batch);
  std::vector<torch::Tensor> out;
  for (const auto& [name, parameter] : net.parameters.named())
    out.push_back(parameter.grad().defined() ? parameter.grad().clone() : torch::zeros_like(parameter));
  return out;
}

void train_step(benchmark::State& state, const ExtractConfig& config, Way way) {
  const Batch batch;
  const auto net = make_reward_net(config, {kRows, 2, kTimesteps}, Head::kScalar);
  const auto expected = gradients(*net, batch, double_backward), found = gradients(*net, batch, way);
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!torch::allclose(found[i], expected[i], 1e-3, 1e-5))
      return state.SkipWithError("the gradients differ");
  for (auto _ : state) {
    clear(*net);
    way(*net, batch);
  }
}

ExtractConfig half_unet() {
  ExtractConfig config;
  config.net = "unet";
  return config;
}

BENCHMARK_CAPTURE(train_step, mlp_closed_form, ExtractConfig{}, closed_form)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train_step, mlp_double_backward, ExtractConfig{}, double_backward)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train_step, mlp_forward_over_reverse, ExtractConfig{}, forward_over_reverse)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train_step, half_unet_double_backward, half_unet(), double_backward)
    ->Unit(benchmark::kMillisecond);

/// 128 windows of one row, as RewardedEnv asks every step.
void score(benchmark::State& state) {
  set_torch_threads(1);
  ExtractConfig config;
  config.channels = {2, 3};
  const std::vector<double> zeros(6, 0), ones(6, 1);
  const DiffusionModel like({.horizon = kRows, .timesteps = kTimesteps}, {kRows, 1, 2, 4},
                            Normalizer("limits", zeros, ones), 0);
  const WindowReward reward(config, like);
  const std::vector<float> windows = normals(128 * 6, 1);
  std::vector<float> out(128);
  for (auto _ : state) reward.score(5, windows, out);
  state.SetItemsProcessed(state.iterations() * 128);
}
BENCHMARK(score)->Unit(benchmark::kMicrosecond);

/// p-values of single rows against 8192 base rows of `range` channels.
void support(benchmark::State& state) {
  const auto channels = static_cast<std::size_t>(state.range(0));
  const SupportModel model =
      SupportModel::fit(KdTree(normals(8192 * channels, 1), channels), normals(2048 * channels, 2), 1);
  const std::vector<float> queries = normals(4096 * channels, 3);
  std::size_t i = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(model.p_value(std::span(queries).subspan((i++ % 4096) * channels, channels)));
}
BENCHMARK(support)->Arg(2)->Arg(4)->Arg(6)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace diffreward

BENCHMARK_MAIN();
