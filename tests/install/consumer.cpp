// Twenty lines against the installed headers: step a maze, and ask a library that needs LibTorch.
#include <cstdio>

#include "agents/catalog.h"
#include "agents/diffusion/diffusion_model.h"
#include "datasets/collect.h"
#include "envs/vector_env.h"
#include "rewards/catalog.h"
#include "rewards/evaluate/evaluate.h"
#include "rewards/rewarded_env.h"

int main() {
  const auto envs = diffreward::make_vector("Maze2D-UMaze-v0", {.count = 4, .threads = 2});
  envs->reset(7);
  const std::vector<double> push(8, 1.0);
  double total = 0;
  for (int i = 0; i < 100; ++i)
    for (const double reward : envs->step(push).reward) total += reward;
  std::printf("%zu kinds of rewards\n", diffreward::reward_catalog().size());
  const diffreward::NoiseSchedule schedule("cosine", 100);
  std::printf("%s: %g reward; alpha_bar falls to %g\n", envs->spec().id.c_str(), total,
              schedule.alpha_bar.back());
  return schedule.alpha_bar.back() < 1e-3 ? 0 : 1;
}
