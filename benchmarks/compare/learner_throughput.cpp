// How fast agents learn, for benchmarks/compare/learners.py.
//
//   learner_throughput ENV THREADS
//
// reads lines "WHAT SECONDS" and answers each with one number, measured over about so many seconds. WHAT:
//   sgemm            GFLOP/s of the product of two 256 x 256 matrices (batches of two, as the critics' are)
//   update           updates/s of SAC, batch 256, nets of 256 x 256, on an environment that does nothing
//   update_gflop     GFLOP of one such update, by its products alone (SECONDS is not read)
//   sac              environment steps/s of SAC with as many updates, one instance
//   ppo              environment steps/s of PPO with learning, 64 instances
//   physics          transitions/s of a policy of SAC's size that draws its actions in 64 instances
//   record           the same to disk, as diffreward generate records it
#include <torch/torch.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "agents/ppo/ppo.h"
#include "agents/sac/sac.h"
#include "datasets/collect.h"
#include "envs/catalog.h"

namespace diffreward {
namespace {

using Clock = std::chrono::steady_clock;

/// An environment of another's sizes in which nothing happens.
class Still final : public Env {
 public:
  explicit Still(EnvSpec spec) : spec_(std::move(spec)) {
    spec_.info.clear();
    spec_.max_steps = 1000;
    spec_.state_size = 0;
  }
  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) override {
    begin({}, {}, obs);
    return {action[0], false};
  }
  void state(std::span<double>) const override {}
  void set_state(std::span<const double>, std::span<double>) override {}
  void info(std::span<double>) const override {}
  Image render(int, int) const override { return {}; }

 protected:
  void begin(std::optional<Seed>, const ResetOptions&, std::span<double> obs) override {
    for (double& x : obs) x = rng_.normal();
  }

 private:
  EnvSpec spec_;
  Rng rng_;
};

std::unique_ptr<VectorEnv> still(const std::string& id) {
  std::vector<std::unique_ptr<Env>> envs;
  envs.push_back(std::make_unique<Still>(make_env(id, {})->spec()));
  return make_vector(std::move(envs), {.autoreset = "same_step"});
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Calls of `piece`, each of `amount`, per second.
double rate(double seconds, double amount, const std::function<void()>& piece) {
  piece();
  const auto begin = Clock::now();
  double done = 0;
  do {
    piece();
    done += amount;
  } while (seconds_since(begin) < seconds);
  return done / seconds_since(begin);
}

double sgemm(double seconds) {
  const torch::InferenceMode inference;
  const torch::Tensor a = torch::randn({2, 256, 256}), b = torch::randn({2, 256, 256}),
                      c = torch::empty({2, 256, 256});
  return rate(seconds, 20 * 2 * 2e-9 * 256 * 256 * 256, [&] {
    for (int k = 0; k < 20; ++k) at::bmm_out(const_cast<torch::Tensor&>(c), a, b);
  });
}

/// Products of one update: the policy and both critics' followers for the target, the critics forward and backward, the
/// policy, the critics forward and back to the action, the policy backward.
double update_gflop(const EnvSpec& spec, double batch, double hidden) {
  const double obs = double(spec.observation.size()), act = double(spec.action.size());
  const double critic_first = (obs + act) * hidden, policy_first = obs * hidden, square = hidden * hidden;
  const double critic = 2 * (critic_first + square + hidden),
               policy = policy_first + square + 2 * act * hidden;
  const double target = policy + critic, critics = critic + critic + 2 * (square + hidden),
               actor = policy + critic + critic + policy + square + 2 * act * hidden;
  return 2e-9 * batch * (target + critics + actor);
}

double measure(const std::string& what, const std::string& id, int threads, double seconds) {
  const auto trained = [&](LearningAgent& agent, std::int64_t steps) {
    return rate(seconds, double(steps), [&] { agent.train(steps); });
  };
  const SacConfig sac{.buffer = 100'000, .learning_starts = 1000, .report_every = 1'000'000};
  if (what == "sgemm") return sgemm(seconds);
  if (what == "update_gflop") return update_gflop(make_env(id, {})->spec(), sac.batch, sac.hidden[0]);
  if (what == "update") {
    const auto env = still(id);
    Sac agent(*env, sac);
    agent.train(1000);
    return trained(agent, 50);
  }
  if (what == "sac") {
    const auto env = make_vector(id, {.autoreset = "same_step"});
    Sac agent(*env, sac);
    agent.train(1000);
    return trained(agent, 50);
  }
  if (what == "ppo") {
    const auto env = make_vector(id, {.count = 64, .threads = threads, .autoreset = "same_step"});
    Ppo agent(*env, {.decisions = 64, .epochs = 10, .minibatches = 8, .lr_schedule = "constant"});
    return trained(agent, 64 * 64);
  }
  if (what == "physics" || what == "record") {
    const auto env = make_vector(id, {.count = 64, .threads = threads, .autoreset = "same_step"});
    Sac agent(*env, sac);
    agent.act_stochastically(streams_of(Recording::kBase, 0, Purpose::kController));
    if (what == "record") {
      const auto path =
          std::filesystem::temp_directory_path() / concat("learner_throughput.", getpid(), ".hdf5");
      const double found = rate(seconds, 64 * 1000, [&] { collect(*env, agent, 64 * 1000, {}, path); });
      std::filesystem::remove(path);
      return found;
    }
    std::vector<double> actions(64 * env->spec().action.size());
    const StepView* view = &env->reset(Streams(Purpose::kEvaluation, 0));
    return rate(seconds, 64, [&] {
      agent.act(*view, actions);
      view = &env->step(actions);
    });
  }
  throw InvalidArgument("WHAT: unknown " + what);
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  using namespace diffreward;
  try {
    require(argc == 3, "expected two arguments");
    const int threads = std::stoi(argv[2]);
    make_env(argv[1], {});
    torch::set_num_threads(threads);
    std::cout << "ready" << std::endl;
    std::string what;
    for (double seconds = 0; std::cin >> what >> seconds;)
      std::cout << measure(what, argv[1], threads, seconds) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "learner_throughput: " << error.what() << "\nusage: learner_throughput ENV THREADS\n";
    return 2;
  }
}
