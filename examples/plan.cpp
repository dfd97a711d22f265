// A diffusion model as an agent: records walks to one corner of a maze, fits a Temporal U-Net to them, and
// lets it act from fresh starts by receding-horizon planning, a quarter of the denoising steps each, every
// plan started from the one before.
//
//   example_plan FOLDER [TRAINING STEPS = 1500]
//
// Expected, after about 15 s on 2 cores: "episodes that end at the goal" above 0.9.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "agents/device.h"
#include "agents/diffusion/diffusion_model.h"
#include "agents/planner.h"
#include "agents/scripted/waypoints.h"
#include "datasets/collect.h"
#include "envs/vector_env.h"

using namespace diffreward;

int main(int argc, char** argv) try {
  const std::filesystem::path folder = argc > 1 ? argv[1] : ".";
  set_torch_threads(0);
  const Json corner = {{"goal_cell", {1, 1}}, {"start_jitter", 0.8}};
  const auto recorded = make_vector(
      "Maze2D-UMaze-v0", {.count = 64, .threads = 0, .autoreset = "same_step", .max_steps = 200}, corner);
  const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *recorded,
                                 streams_of(Recording::kExpert, /*seed=*/0, Purpose::kController));
  const Dataset walks = collect(*recorded, *walker, 64 * 1200,
                                {.behaviour = "waypoints to one corner",
                                 .seed = 0,
                                 .recording = Recording::kExpert,
                                 .env_options = corner},
                                folder / "walk.hdf5");

  // Windows of 16 rows, 8 environment steps apart: 128 steps ahead. The first observation is given in
  // training, too.
  const DiffusionModel model = train_diffusion(
      walks, {.horizon = 16, .stride = 8, .timesteps = 20, .net = "unet", .dim = 16, .dim_mults = {1, 2, 4}},
      {.steps = argc > 2 ? std::atoll(argv[2]) : 1500, .batch = 64, .lr = 5e-4, .condition_probability = 1});

  Planner planner(model, {.sampler = "ddim", .steps = 5},
                  {.replan_every = 8, .warm_level = 10, .follow = "states"});
  const auto env = make_vector(
      "Maze2D-UMaze-v0", {.count = 32, .threads = 0, .autoreset = "same_step", .max_steps = 200}, corner);
  int reached = 0;
  constexpr int kEpisodes = 64;
  for (const EpisodeOutcome& outcome : evaluate_agent(*env, planner, kEpisodes, /*seed=*/1000))
    reached += std::hypot(outcome.last_observation[0] - 1, outcome.last_observation[1] - 1) <= 0.5;
  std::printf("%lld plans; episodes that end at the goal: %.2f\n", static_cast<long long>(planner.plans()),
              double(reached) / kEpisodes);
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
