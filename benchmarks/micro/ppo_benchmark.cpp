// Where PPO's time goes: collecting decisions on the maze against optimising, and how both scale with the
// minibatch.
#include <benchmark/benchmark.h>

#include "agents/device.h"
#include "agents/ppo/ppo.h"

namespace diffreward {
namespace {

/// One iteration of 128 instances x 64 decisions x 4 steps. Arguments: epochs, minibatches.
void ppo_iteration(benchmark::State& state) {
  set_torch_threads(1);
  const auto env =
      make_vector("Maze2D-UMaze-v0", {.count = 128, .autoreset = "same_step"}, {{"reward", "dense"}});
  Ppo agent(*env, {.decisions = 64,
                   .action_repeat = 4,
                   .epochs = static_cast<int>(state.range(0)),
                   .minibatches = static_cast<int>(state.range(1))});
  const std::int64_t steps = 128 * 64 * 4;
  for (auto _ : state) agent.train(steps);
  state.SetItemsProcessed(state.iterations() * steps);
  state.SetLabel("environment steps");
}
BENCHMARK(ppo_iteration)
    ->ArgNames({"epochs", "minibatches"})
    ->Args({1, 1})
    ->Args({4, 4})
    ->Args({4, 8})
    ->Args({10, 8})
    ->Unit(benchmark::kMillisecond);

/// Deterministic decisions of a fresh agent.
void ppo_act(benchmark::State& state) {
  set_torch_threads(1);
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto env = make_vector("Maze2D-UMaze-v0", {.count = 1, .autoreset = "same_step"});
  Ppo agent(*env, {});
  std::vector<double> obs(4 * count), actions(2 * count);
  for (auto _ : state) agent.act({.obs = obs}, actions);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ppo_act)->Arg(1)->Arg(128)->Arg(1024);

}  // namespace
}  // namespace diffreward

BENCHMARK_MAIN();
