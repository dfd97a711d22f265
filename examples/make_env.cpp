// Makes an environment by its id, with options, and steps it by hand.
//
//   example_make_env [PICTURE.png]
//
// Prints the facts of the environment, an episode's return and score, and that a saved state resumes exactly.
#include <cstdio>

#include "envs/catalog.h"

using namespace diffreward;

int main(int argc, char** argv) {
  const std::unique_ptr<Env> env = make_env("Maze2D-UMaze-v0");
  const EnvSpec& spec = env->spec();
  std::printf("%s: %zu observations, %zu actions, %d steps of %g s\n", spec.id.c_str(),
              spec.observation.size(), spec.action.size(), spec.max_steps, spec.seconds_per_step);

  // Start in the lower left of the U; the goal is the map's own, at its upper left.
  const ResetOptions options{.fixed = {{"start_cell", {3, 1}}}};
  std::vector<double> obs(spec.observation.size()), saved(spec.state_size);
  env->reset(/*seed=*/0, options, obs);

  // A hand-written policy: along the columns, up, and back.
  double episode_return = 0;
  for (int t = 0; t < spec.max_steps; ++t) {
    const double x = obs[0], y = obs[1];
    const double to_x = y > 2.8 ? 1 : x > 2 ? 3 : 1, to_y = x > 1.3 ? 3 : 1;
    const double action[] = {to_x - x - 0.5 * obs[2], to_y - y - 0.5 * obs[3]};
    if (t == 100) env->state(saved);
    episode_return += env->step(action, obs).reward;
  }
  std::printf("return %.0f, score %.0f, ends at (%.2f, %.2f)\n", episode_return, spec.score(episode_return),
              obs[0], obs[1]);
  if (argc > 1) write_png(argv[1], env->render(480, 480));

  env->set_state(saved, obs);
  std::printf("resumed at (%.2f, %.2f)\n", obs[0], obs[1]);
  return episode_return > 0 ? 0 : 1;
}
