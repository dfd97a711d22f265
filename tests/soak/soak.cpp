// soak [SECONDS] | soak ID STEPS: works the environments for a long time and fails (1) if memory grows.
//
// By seconds (600 unless given): rounds of several environments, each in every autoreset mode as a VectorEnv
// and as an AsyncEnv, made anew in every round: random actions, resets with options, states saved and
// resumed, sends and receives in random portions. By steps: one VectorEnv of one environment, stepped that
// often. The process's resident memory is read after each round, or each hundredth of the steps, when what
// was freed has gone back to the system: the C library keeps some for every thread that there was. The first
// quarter warms up; the most after it may exceed the most within it by 3 %. Run only where asked for:
// `ctest -C soak -L soak`.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "envs/async_env.h"
#include "envs/vector_env.h"

namespace diffreward {
namespace {

using Values = std::vector<double>;
constexpr double kMostGrowth = 1.03;
constexpr int kCount = 6, kRequests = 150;  // of one batch in one round

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// In use, MiB.
double resident_mib() {
  ::malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;
  require(bool(file >> size >> resident), "soak: cannot read /proc/self/statm");
  return resident * double(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

/// Resident memory over the run.
class Memory {
 public:
  /// `done`: the share of the run that is over.
  void sample(double done, double steps) {
    const double now = resident_mib();
    double& most = done <= 0.25 ? warm_ : later_;
    most = std::max(most, now);
    std::printf("%5.1f %%  %12.0f steps  %7.2f MiB\n", 100 * done, steps, now);
    std::fflush(stdout);
  }
  int verdict(double steps, double time) const {
    require(warm_ > 0 && later_ > 0, "soak: too short to warm up and compare");
    const double growth = later_ / warm_;
    std::printf("%s: %.0f steps in %.0f s, at most %.2f MiB while warming up and %.2f MiB later (%+.2f %%)\n",
                growth <= kMostGrowth ? "flat" : "MEMORY GROWS", steps, time, warm_, later_,
                100 * (growth - 1));
    return growth <= kMostGrowth ? 0 : 1;
  }

 private:
  double warm_ = 0, later_ = 0;  // MiB, the most
};

Values actions_for(const EnvSpec& spec, std::size_t n, Rng& rng) {
  Values actions;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < spec.action.size(); ++k)
      actions.push_back(rng.uniform(spec.action.low[k], spec.action.high[k]));
  return actions;
}

/// Options of a reset: those of mazes, or a state of another instance, or none.
std::vector<ResetOptions> options_for(Env& env, Rng& rng) {
  ResetOptions options;
  if (rng.uniform() < 0.5) {
    options.state.resize(env.spec().state_size);
    env.state(options.state);
  } else if (env.spec().id.find("Maze") != std::string::npos) {
    options.fixed["start_cell"] = options.fixed["goal_cell"] = {1, 1};
  } else {
    return {};
  }
  return {options};
}

/// Steps, masked resets with options, and a state that is resumed; returns the count of steps.
double work(VectorEnv& envs, Rng& rng) {
  const auto n = std::size_t(envs.size());
  const StepView& view = envs.reset(rng.below(1000));
  double steps = 0;
  for (int t = 0; t < kRequests; ++t) {
    if (envs.autoreset() == Autoreset::kDisabled) {
      std::vector<std::uint8_t> ended(n);
      for (std::size_t i = 0; i < n; ++i) ended[i] = view.terminated[i] || view.truncated[i];
      if (std::ranges::count(ended, 1)) envs.reset(ended, {}, {});
    }
    const Values actions = actions_for(envs.spec(), n, rng);
    if (t % 50 == 25) {
      const Values state = envs.state();
      envs.step(actions);
      const Values reached(view.obs.begin(), view.obs.end());
      envs.set_state(state);
      envs.step(actions);
      require(std::ranges::equal(reached, view.obs), envs.spec().id, ": a resumed state went elsewhere");
      steps += double(n);
    } else {
      envs.step(actions);
    }
    steps += double(n);
    if (t % 20 == 10) {
      std::vector<std::uint8_t> mask(n);
      mask[rng.below(n)] = 1;
      envs.reset(mask, {}, options_for(envs.env(int(rng.below(n))), rng));
    }
  }
  return steps;
}

double work(AsyncEnv& envs, Rng& rng) {
  envs.reset(rng.below(1000));
  double steps = 0;
  for (int t = 0; t < kRequests; ++t) {
    const AsyncBatch& batch = envs.recv(1 + int(rng.below(std::size_t(envs.in_flight()))));
    std::vector<int> going, resetting;
    for (std::size_t k = 0; k < batch.ids.size(); ++k) {
      const bool over =
          envs.autoreset() == Autoreset::kDisabled && (batch.terminated[k] || batch.truncated[k]);
      (over || rng.uniform() < 0.05 ? resetting : going).push_back(batch.ids[k]);
    }
    if (!resetting.empty()) envs.send_reset(resetting, {}, options_for(envs.env(resetting[0]), rng));
    envs.send(going, actions_for(envs.spec(), going.size(), rng));
    steps += double(going.size());
  }
  return steps;  // what is in flight ends with the AsyncEnv
}

int soak_rounds(double limit) {
  Memory memory;
  double steps = 0;
  const double start = seconds();
  for (double now = start; now - start < limit; now = seconds()) {
    Rng rng(1);  // every round is the same
    for (const char* id : {"HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "Maze2D-UMaze-v0",
                           "Maze2DMuJoCo-UMaze-v0", "PointMaze_UMaze-v3"})
      for (const char* mode : {"next_step", "same_step", "disabled"}) {
        const VectorConfig config{.count = kCount, .threads = 2, .autoreset = mode, .max_steps = 40};
        steps += work(*make_vector(id, config), rng);
        AsyncEnv asynchronous(id, config);
        steps += work(asynchronous, rng);
      }
    memory.sample(std::min(1.0, (seconds() - start) / limit), steps);
  }
  return memory.verdict(steps, seconds() - start);
}

int soak_steps(const std::string& id, double limit) {
  const auto envs = make_vector(id, {.count = 64});
  const double start = seconds();
  Rng rng(1);
  Memory memory;
  envs->reset(1);
  double steps = 0;
  for (int part = 1; part <= 100; ++part) {
    for (; steps < limit * part / 100; steps += envs->size()) envs->step(actions_for(envs->spec(), 64, rng));
    memory.sample(part / 100.0, steps);
  }
  return memory.verdict(steps, seconds() - start);
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  try {
    if (argc <= 2) return diffreward::soak_rounds(argc == 2 ? std::stod(argv[1]) : 600);
    if (argc == 3) return diffreward::soak_steps(argv[1], std::stod(argv[2]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: soak [SECONDS] | soak ID STEPS\n");
  return 2;
}
