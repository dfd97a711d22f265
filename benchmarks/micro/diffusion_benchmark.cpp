// Training and sampling of the two denoisers: whole runs first, then the parts of a step.
//   OMP_NUM_THREADS=1 build/benchmarks/diffusion_benchmark
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/diffusion/diffusion_model.h"
#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/diffusion/training_batch_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "core/progress.h"

namespace diffreward {
namespace {

/// Rows as wide as Maze2D's: 2 actions, 4 observations.
const Dataset& data() {
  static const Dataset set = [] {
    Dataset::Columns columns;
    columns.observation_dim = 4;
    columns.action_dim = 2;
    constexpr std::size_t kRows = 60000, kEpisode = 200;
    Rng rng(1);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (int k = 0; k < 2; ++k) columns.actions.push_back(static_cast<float>(rng.uniform(-1, 1)));
      for (int k = 0; k < 4; ++k) columns.observations.push_back(static_cast<float>(rng.normal()));
      columns.timeouts.push_back(i % kEpisode == kEpisode - 1);
    }
    columns.next_observations = columns.observations;
    columns.rewards.assign(kRows, 0);
    columns.terminals.assign(kRows, 0);
    return Dataset::from_columns(std::move(columns));
  }();
  return set;
}

enum Net { kMlp, kUnet };
/// recipe.md's MLP (256 x 3, windows of 16 rows, batch 128), and Diffuser's U-Net (32 x 1 2 4 8, 64 rows,
/// batch 32).
DiffusionConfig config(Net net) {
  if (net == kMlp) return {};
  return {.horizon = 64, .stride = 1, .net = "unet", .dim = 32};
}
DiffusionTrainConfig training(Net net) {
  return {.steps = net == kMlp ? 200 : 20,
          .batch = net == kMlp ? 128 : 32,
          .condition_probability = 0.5,
          .log_every = 1000};
}
DiffusionModel model(Net net) {
  const DiffusionConfig settings = config(net);
  return {settings,
          {settings.horizon, settings.stride, 2, 4},
          {"limits", std::vector(6, 0.0), std::vector(6, 1.0)},
          0};
}

void train_step(benchmark::State& state, Net net) {
  Progress::silence();
  for (auto _ : state) benchmark::DoNotOptimize(train_diffusion(data(), config(net), training(net)));
  state.SetItemsProcessed(state.iterations() * training(net).steps);  // steps per second
}
BENCHMARK_CAPTURE(train_step, mlp, kMlp)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train_step, unet, kUnet)->Unit(benchmark::kMillisecond);

/// The state of a training loop, to time its parts.
struct Loop {
  explicit Loop(Net which)
      : net(model(which)),
        average(net.clone()),
        train(training(which)),
        windows(data(), net.layout(), false),
        pool(windows, {0, 1, 2, 3, 4, 5, 6, 7}),
        batches(net.impl(), windows, train),
        optimizer(net.impl().net->parameters, &average.impl().net->parameters),
        batch(batches.make(pool, train.batch, 0)) {}
  torch::Tensor forward() const { return net.impl().net->forward(batch.x_t, batch.t); }

  DiffusionModel net, average;
  DiffusionTrainConfig train;
  WindowSampler windows;
  EpisodeWindows pool;
  BatchMaker batches;
  Optimizer optimizer;
  Batch batch;
};

void make_batch(benchmark::State& state, Net net) {
  Loop loop(net);
  std::uint64_t index = 0;
  for (auto _ : state) benchmark::DoNotOptimize(loop.batches.make(loop.pool, loop.train.batch, ++index));
}
BENCHMARK_CAPTURE(make_batch, mlp, kMlp)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(make_batch, unet, kUnet)->Unit(benchmark::kMicrosecond);

void forward(benchmark::State& state, Net net) {
  const Loop loop(net);
  for (auto _ : state) benchmark::DoNotOptimize(loop.forward());
}
BENCHMARK_CAPTURE(forward, mlp, kMlp)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(forward, unet, kUnet)->Unit(benchmark::kMicrosecond);

void forward_backward(benchmark::State& state, Net net) {
  Loop loop(net);
  const std::int64_t n = loop.batch.t.size(0);
  for (auto _ : state)
    benchmark::DoNotOptimize(add_loss_gradient(*loop.net.impl().net, loop.batch, {0, n, n}));
}
BENCHMARK_CAPTURE(forward_backward, mlp, kMlp)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(forward_backward, unet, kUnet)->Unit(benchmark::kMicrosecond);

void optimizer_step(benchmark::State& state, Net net) {
  Loop loop(net);
  for (auto _ : state) loop.optimizer.step(optimizer_settings(loop.train, 0), loop.optimizer.gradient_norm());
}
BENCHMARK_CAPTURE(optimizer_step, mlp, kMlp)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(optimizer_step, unet, kUnet)->Unit(benchmark::kMicrosecond);

void sample(benchmark::State& state, Net net, const char* sampler, int steps) {
  const DiffusionModel net_model = model(net);
  for (auto _ : state)
    benchmark::DoNotOptimize(net_model.sample(64, {}, {.sampler = sampler, .steps = steps}));
  state.SetItemsProcessed(state.iterations() * 64);  // windows per second
}
BENCHMARK_CAPTURE(sample, mlp_ddpm, kMlp, "ddpm", 0)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(sample, mlp_dpm_solver_10, kMlp, "dpm_solver", 10)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(sample, unet_dpm_solver_10, kUnet, "dpm_solver", 10)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace diffreward

BENCHMARK_MAIN();
