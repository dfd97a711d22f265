// What a batch of robots costs beside MuJoCo alone.
//
// Each round steps make_vector(id, 64 instances, 1 or 2 threads) and a bare loop over mj_step through the
// same actions: the same models and frame skip, the same initial states, threads that each work through a
// share of their own and never wait for each other. Rounds alternate, so that noise of the machine hits both.
// Neither side resets: robots do not end by falling, and there is no step limit; both sides go through the
// same states (unless MuJoCo warns), which checks that they do the same work.
//
// Counters: steps_per_s of the batch, and of_bare, the bare loop's time over the batch's; medians over the
// rounds.
#include <benchmark/benchmark.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "envs/catalog.h"
#include "envs/locomotion/mujoco_env.h"
#include "envs/vector_env.h"

namespace diffreward {
namespace {

constexpr int kInstances = 64, kRounds = 15, kSteps = 50;

const MujocoEnv& robot_of(VectorEnv& envs, int i) {
  return dynamic_cast<const MujocoEnv&>(envs.env(i));
}

/// The robots of a batch, in its states, written against MuJoCo alone.
class BareLoop {
 public:
  explicit BareLoop(VectorEnv& envs)
      : model_(robot_of(envs, 0).model()),
        frame_skip_(int(std::lround(envs.spec().seconds_per_step / model_.opt.timestep))) {
    for (int i = 0; i < envs.size(); ++i) {
      data_.push_back(make_mujoco_data("bare", model_));
      std::ranges::copy(robot_of(envs, i).qpos(), data_.back()->qpos);
      std::ranges::copy(robot_of(envs, i).qvel(), data_.back()->qvel);
      mj_forward(&model_, data_.back().get());
    }
  }

  /// All robots through all actions, [step][n, act_dim], on `threads` threads.
  void run(const std::vector<std::vector<double>>& actions, std::size_t threads) {
    const auto dim = std::size_t(model_.nu);
    const auto share = [&](std::size_t begin, std::size_t end) {
      for (const std::vector<double>& action : actions)
        for (std::size_t i = begin; i < end; ++i) {
          std::copy_n(action.begin() + std::ptrdiff_t(i * dim), dim, data_[i]->ctrl);
          for (int k = 0; k < frame_skip_; ++k) mj_step(&model_, data_[i].get());
        }
    };
    std::vector<std::thread> others;
    const std::size_t n = data_.size();
    for (std::size_t j = 1; j < threads; ++j)
      others.emplace_back(share, n * j / threads, n * (j + 1) / threads);
    share(0, n / threads);
    for (std::thread& other : others) other.join();
  }

  bool equals(VectorEnv& envs) const {
    for (std::size_t i = 0; i < data_.size(); ++i) {
      const std::span<const double> qpos = robot_of(envs, int(i)).qpos();
      if (std::memcmp(qpos.data(), data_[i]->qpos, qpos.size_bytes()) != 0) return false;
    }
    return true;
  }

 private:
  const mjModel& model_;
  int frame_skip_;
  std::vector<std::unique_ptr<mjData, void (*)(mjData*)>> data_;
};

template <class Body>
double seconds(const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Argument: threads.
void PairedStep(benchmark::State& state, const EnvEntry& entry) {
  const int threads = int(state.range(0));
  Json options = Json::object();
  for (const FieldInfo& field : entry.options_help())
    if (field.name == "terminate_when_unhealthy") options[field.name] = false;
  const auto envs = make_vector(entry.id, {.count = kInstances, .threads = threads, .max_steps = 0}, options);
  envs->reset(0);
  BareLoop bare(*envs);
  const Box& box = envs->spec().action;
  Rng rng(1);
  std::vector<std::vector<double>> actions(kSteps, std::vector<double>(kInstances * box.size()));
  for (std::vector<double>& action : actions)
    for (std::size_t k = 0; k < action.size(); ++k)
      action[k] = rng.uniform(box.low[k % box.size()], box.high[k % box.size()]);
  const auto step_all = [&] {
    for (const std::vector<double>& action : actions) envs->step(action);
  };
  step_all();
  bare.run(actions, std::size_t(threads));
  std::vector<double> speed, of_bare;
  bool envs_first = false;
  for (auto _ : state) {
    double ours = 0, theirs = 0;
    if (envs_first) ours = seconds(step_all);
    theirs = seconds([&] { bare.run(actions, std::size_t(threads)); });
    if (!envs_first) ours = seconds(step_all);
    envs_first = !envs_first;
    state.SetIterationTime(ours);
    speed.push_back(kInstances * kSteps / ours);
    of_bare.push_back(theirs / ours);
  }
  if (!bare.equals(*envs)) state.SkipWithError("the two sides went through different states");
  state.counters["steps_per_s"] = median(speed);
  state.counters["of_bare"] = median(of_bare);
}

void register_all() {
  for (const EnvEntry& entry : env_catalog())
    if (dynamic_cast<const MujocoEnv*>(make_env(entry.id).get()))
      benchmark::RegisterBenchmark(("PairedStep/" + entry.id).c_str(),
                                   [&entry](benchmark::State& state) { PairedStep(state, entry); })
          ->Arg(1)
          ->Arg(2)
          ->UseManualTime()
          ->Iterations(kRounds)
          ->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  diffreward::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
