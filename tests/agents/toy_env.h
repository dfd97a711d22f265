// An environment for tests whose dynamics are two functions: what PPO or a rewarded env may do wrong can then
// be stated with a few lines of arithmetic.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "envs/rng_state.h"
#include "envs/vector_env.h"

namespace diffreward::testing {

struct ToyTask {
  int count = 1, max_steps = 10, threads = 1;
  const char* autoreset = "same_step";
  std::function<double(Rng&)> start = [](Rng&) { return 0.0; };
  /// Moves x by the action and returns the reward.
  std::function<double(double& x, double action)> step = [](double&, double) { return 0.0; };
  bool terminate = false;  // episodes of max_steps end by termination instead of truncation
  double action_limit = 1;
  std::function<bool(double x)> ends = {};  // whether reaching x ends the task
};

/// One number x; the observation is x.
class ToyEnv final : public Env {
 public:
  explicit ToyEnv(ToyTask task) : task_(std::move(task)) {
    spec_.id = "Toy-v0";
    spec_.observation = {{-1}, {1}};
    spec_.action = {{-task_.action_limit}, {task_.action_limit}};
    spec_.max_steps = task_.terminate ? 0 : task_.max_steps;
    spec_.state_size = 2 + kRngNumbers;
  }

  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) override {
    actions_.push_back(action[0]);
    const double reward = task_.step(x_, action[0]);
    obs[0] = x_;
    const bool ended = task_.ends && task_.ends(x_);
    return {reward, (++age_ == task_.max_steps && task_.terminate) || ended};
  }
  void state(std::span<double> out) const override {
    out[0] = x_, out[1] = age_;
    write_rng(rng_, out.subspan<2, kRngNumbers>());
  }
  void set_state(std::span<const double> state, std::span<double> obs) override {
    obs[0] = x_ = state[0];
    age_ = int(state[1]);
    rng_.set_state(read_rng(spec_.id, state.subspan<2, kRngNumbers>()));
  }
  void info(std::span<double>) const override {}
  Image render(int, int) const override { return {}; }

  /// Every action so far.
  const std::vector<double>& actions() const { return actions_; }
  /// Every seed that it was reset with.
  const std::vector<Seed>& seeds() const { return seeds_; }

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions&, std::span<double> obs) override {
    if (seed) {
      rng_ = Rng(*seed);
      seeds_.push_back(*seed);
    }
    obs[0] = x_ = task_.start(rng_);
    age_ = 0;
  }

 private:
  ToyTask task_;
  EnvSpec spec_;
  Rng rng_;
  double x_ = 0;
  int age_ = 0;
  std::vector<double> actions_;
  std::vector<Seed> seeds_;
};

inline std::unique_ptr<VectorEnv> make_toy(const ToyTask& task) {
  std::vector<std::unique_ptr<Env>> envs;
  for (int i = 0; i < task.count; ++i) envs.push_back(std::make_unique<ToyEnv>(task));
  return make_vector(std::move(envs),
                     {.count = task.count, .threads = task.threads, .autoreset = task.autoreset});
}

}  // namespace diffreward::testing
