// Transitions a second of data generation, from the physics to the finished file: 64 instances, waypoint
// controller with action noise, 1 M transitions, written to a temporary file (TMPDIR, else /tmp).
// `transitions_per_s` is the median over the runs.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "agents/scripted/waypoints.h"
#include "core/progress.h"
#include "datasets/collect.h"

namespace diffreward {
namespace {

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Arguments: thousands of transitions, instances, threads.
void Generate(benchmark::State& state) {
  Progress::silence();
  const auto steps = std::size_t(state.range(0)) * 1000;
  const auto path =
      std::filesystem::temp_directory_path() / ("generate_benchmark_" + std::to_string(::getpid()) + ".hdf5");
  std::vector<double> rates;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const auto envs = make_vector("Maze2D-UMaze-v0",
                                  {.count = int(state.range(1)),
                                   .threads = int(state.range(2)),
                                   .autoreset = "same_step",
                                   .max_steps = 200},
                                  {{"random_goal", true}});
    const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *envs,
                                   streams_of(Recording::kBase, 0, Purpose::kController));
    const Dataset data = collect(*envs, *walker, steps, {}, path);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state.SetIterationTime(seconds);
    rates.push_back(double(data.size()) / seconds);
  }
  std::filesystem::remove(path);
  state.counters["transitions_per_s"] = median(rates);
}
BENCHMARK(Generate)
    ->ArgNames({"thousands", "instances", "threads"})
    ->Args({1000, 64, 2})
    ->Args({1000, 64, 1})
    ->Args({1000, 512, 2})
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace diffreward

BENCHMARK_MAIN();
