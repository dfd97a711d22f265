// Records a data set, opens it, finds its faults, converts it, and cuts windows for training.
//
//   example_record FOLDER [TRANSITIONS]
//
// Writes FOLDER/walk.hdf5 (D4RL's layout) and FOLDER/diffreward/umaze/walk-v0 (Minari's). With 1,000,000
// transitions and the defaults below it takes a few seconds.
#include <cstdio>
#include <cstdlib>

#include "agents/scripted/waypoints.h"
#include "datasets/check.h"
#include "datasets/collect.h"
#include "datasets/normalizer.h"
#include "datasets/windows.h"

using namespace diffreward;

int main(int argc, char** argv) try {
  const std::filesystem::path folder = argc > 1 ? argv[1] : ".";
  const std::size_t steps = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;

  // 64 balls walk to random goals and stay there, 200 steps an episode.
  const Json options = {{"random_goal", true}};
  const auto envs = make_vector(
      "Maze2D-UMaze-v0", {.count = 64, .threads = 2, .autoreset = "same_step", .max_steps = 200}, options);
  const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *envs,
                                 streams_of(Recording::kBase, /*seed=*/0, Purpose::kController));
  const Dataset data = collect(*envs, *walker, steps,
                               {.behaviour = "waypoints to random goals", .seed = 0, .env_options = options},
                               folder / "walk.hdf5");
  std::printf("%zu transitions in %zu episodes\n", data.size(), data.episodes().size());

  const std::vector<Fault> faults = check_data(folder / "walk.hdf5");
  for (const Fault& fault : faults) std::printf("%s: %s\n", fault.name.c_str(), fault.message.c_str());

  const Dataset again = Dataset::open(data.write_minari(folder, "diffreward/umaze/walk-v0"));
  std::printf("Minari: %zu transitions\n", again.size());

  // Windows of 16 rows [action, observation], 8 steps apart, from nine tenths of the episodes.
  const Split split = split_episodes(data, 0.1, /*seed=*/0);
  const WindowSampler windows(select_episodes(data, split.train),
                              {.horizon = 16, .stride = 8, .action_dim = 2, .observation_dim = 4},
                              /*pad=*/false);
  std::vector<float> batch(128 * static_cast<std::size_t>(windows.layout().size()));  // [128, 16, 6]
  Rng rng(0);
  windows.sample(rng, batch);
  const Normalizer normalizer = Normalizer::fit("limits", batch, 6);
  normalizer.normalize(batch, batch);
  std::printf("%zu windows; a batch's first row: action (%.2f, %.2f), position (%.2f, %.2f)\n",
              windows.count(), batch[0], batch[1], batch[2], batch[3]);
  return faults.empty() && again.size() == data.size() ? 0 : 1;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
