// Steps a second of one way to step a batch, for benchmarks/compare/envs.py.
//
//   env_throughput vector|bare ID INSTANCES THREADS SECONDS
//
// `vector` steps make_vector(ID) with random actions. `bare` is what the physics alone costs: it replays the
// episodes that `vector` goes through, from the same states with the same controls, by mj_step and nothing
// else (no reward, no observation, no reset); an instance that only resets does nothing in that step. Threads
// never wait for each other.
#include <mujoco/mujoco.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "envs/locomotion/mujoco_env.h"
#include "envs/vector_env.h"

namespace diffreward {
namespace {

using Clock = std::chrono::steady_clock;
using Data = std::unique_ptr<mjData, decltype(&mj_deleteData)>;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A stretch of steps that is run through again and again from its first state.
struct Stretch {
  std::vector<std::vector<double>> actions;  // [steps][n, act_dim]
  std::vector<double> start;                 // state of the vector env
  struct Begin {
    std::size_t step, instance;
    std::vector<double> qpos, qvel;
  };
  std::vector<Begin> begins;                      // of episodes, in order of steps; step 0 has all instances
  std::vector<std::vector<std::uint8_t>> resets;  // [steps][n], the step only resets the instance
};

Stretch record(VectorEnv& envs, std::size_t steps) {
  Stretch stretch;
  Rng rng(1);
  envs.reset(0);
  const std::size_t n = std::size_t(envs.size()), dim = envs.spec().action.size();
  for (std::size_t t = 0; t < 2 * steps; ++t) {  // the first half lets episodes of different ages mix
    if (t == steps) stretch.start = envs.state();
    std::vector<double> actions(n * dim);
    for (double& a : actions) a = rng.uniform(-1, 1);
    if (t >= steps) stretch.actions.push_back(actions);
    envs.step(actions);
  }
  // Once more, to note where each episode begins.
  const auto note = [&](std::size_t step, std::size_t i) {
    const auto* robot = dynamic_cast<const MujocoEnv*>(&envs.env(int(i)));
    if (!robot) return;  // `bare` will refuse it
    stretch.begins.push_back({step,
                              i,
                              {robot->qpos().begin(), robot->qpos().end()},
                              {robot->qvel().begin(), robot->qvel().end()}});
  };
  envs.set_state(stretch.start);
  for (std::size_t i = 0; i < n; ++i) note(0, i);
  for (std::size_t t = 0; t < steps; ++t) {
    const StepView& view = envs.step(stretch.actions[t]);
    stretch.resets.emplace_back(view.reset.begin(), view.reset.end());
    for (std::size_t i = 0; i < n; ++i)
      if (view.reset[i]) note(t + 1, i);
  }
  return stretch;
}

double run_vector(VectorEnv& envs, const Stretch& stretch, double seconds) {
  const auto begin = Clock::now();
  std::size_t steps = 0;
  while (since(begin) < seconds) {
    envs.set_state(stretch.start);
    for (const std::vector<double>& actions : stretch.actions) envs.step(actions);
    steps += stretch.actions.size() * std::size_t(envs.size());
  }
  return double(steps) / since(begin);
}

double run_bare(VectorEnv& envs, const Stretch& stretch, int threads, double seconds) {
  const std::size_t n = std::size_t(envs.size()), dim = envs.spec().action.size();
  const auto* robot = dynamic_cast<const MujocoEnv*>(&envs.env(0));
  require(robot != nullptr, "bare: expected a robot, got ", envs.spec().id);
  const mjModel* model = &robot->model();
  const int frame_skip = int(std::lround(envs.spec().seconds_per_step / model->opt.timestep));
  std::vector<Data> data;
  for (std::size_t i = 0; i < n; ++i) data.emplace_back(mj_makeData(model), &mj_deleteData);
  std::vector<double> rates(std::size_t(threads), 0.0);
  const auto share = [&](std::size_t j) {
    const std::size_t first = n * j / std::size_t(threads), last = n * (j + 1) / std::size_t(threads);
    const auto begin = Clock::now();
    std::size_t steps = 0;
    while (since(begin) < seconds) {
      auto next = stretch.begins.begin();
      for (std::size_t t = 0; t < stretch.actions.size(); ++t) {
        for (; next != stretch.begins.end() && next->step <= t; ++next) {
          if (next->instance < first || next->instance >= last) continue;
          mjData& d = *data[next->instance];
          std::ranges::copy(next->qpos, d.qpos);
          std::ranges::copy(next->qvel, d.qvel);
          std::fill_n(d.qacc_warmstart, model->nv, 0.0);
        }
        for (std::size_t i = first; i < last; ++i) {
          if (stretch.resets[t][i]) continue;
          std::copy_n(stretch.actions[t].data() + i * dim, dim, data[i]->ctrl);
          for (int k = 0; k < frame_skip; ++k) mj_step(model, data[i].get());
        }
      }
      steps += stretch.actions.size() * (last - first);
    }
    rates[j] = double(steps) / since(begin);
  };
  std::vector<std::thread> others;
  for (std::size_t j = 1; j < std::size_t(threads); ++j) others.emplace_back(share, j);
  share(0);
  for (std::thread& other : others) other.join();
  double total = 0;
  for (const double rate : rates) total += rate;
  return total;
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  using namespace diffreward;
  if (argc != 6) {
    std::cerr << "usage: env_throughput vector|bare ID INSTANCES THREADS SECONDS\n";
    return 2;
  }
  const std::string what = argv[1];
  const int count = std::stoi(argv[3]), threads = std::stoi(argv[4]);
  const double seconds = std::stod(argv[5]);
  const auto envs = make_vector(argv[2], {.count = count, .threads = threads});
  const Stretch stretch = record(*envs, 200);
  std::cout << (what == "bare" ? run_bare(*envs, stretch, threads, seconds)
                               : run_vector(*envs, stretch, seconds))
            << "\n";
}
