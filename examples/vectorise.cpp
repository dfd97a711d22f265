// Steps many copies of an environment as one, and shows that the number of threads changes no result.
//
//   example_vectorise [STEPS]
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/rng.h"
#include "envs/vector_env.h"

using namespace diffreward;

namespace {

/// Sum of all rewards after `steps` steps with random actions.
double random_walk(int threads, int steps) {
  const std::unique_ptr<VectorEnv> envs = make_vector(
      "Maze2D-Medium-v0", {.count = 64, .threads = threads, .autoreset = "same_step"}, {{"reward", "dense"}});
  Rng rng(0);
  std::vector<double> actions(std::size_t(envs->size()) * envs->spec().action.size());  // [n, act_dim]
  double sum = 0;
  int episodes = 0;
  envs->reset(/*seed=*/0);
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < steps; ++t) {
    for (double& a : actions) a = rng.uniform(-1, 1);
    const StepView& view = envs->step(actions);
    for (const double reward : view.reward) sum += reward;
    // With same-step resets `obs` already belongs to the new episode where `reset` is set; `final_obs` is the
    // old one's.
    for (const auto reset : view.reset) episodes += reset;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%d thread%s: %.0f steps/s, %d episodes ended, mean reward %.6f\n", threads,
              threads > 1 ? "s" : "", steps * envs->size() / seconds, episodes, sum / steps / envs->size());
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const double one = random_walk(1, steps), two = random_walk(2, steps);
  std::printf("equal results: %s\n", one == two ? "yes" : "no");
  return one == two ? 0 : 1;
}
