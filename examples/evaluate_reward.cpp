// Asks what a reward means: records an expert and a base walker, then judges "minus the straight distance to
// the goal".
//
//   build/examples/example_evaluate_reward [episodes = 200] [page.html]
//
// Expected: the peak within a grid square of the goal, and a rank correlation well below 1, because the far
// end of the U is near the goal as the crow flies. The expert heads along the shortest path (cosine about
// 0.7), the base just anywhere (about 0).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "agents/scripted/waypoints.h"
#include "datasets/collect.h"
#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"
#include "envs/vector_env.h"
#include "report/page.h"
#include "rewards/evaluate/evaluate.h"

using namespace diffreward;

namespace {

Dataset walk(Recording recording, const Json& options, int episodes, const std::string& behaviour,
             const std::filesystem::path& file) {
  constexpr int kSteps = 200;
  const auto envs = make_vector("Maze2D-UMaze-v0",
                                {.count = episodes, .autoreset = "same_step", .max_steps = kSteps}, options);
  const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *envs,
                                 streams_of(recording, /*seed=*/0, Purpose::kController));
  const CollectInfo info{.behaviour = behaviour, .recording = recording, .env_options = options};
  return collect(*envs, *walker, std::size_t(episodes) * kSteps, info, file);
}

}  // namespace

int main(int argc, char** argv) try {
  const int episodes = argc > 1 ? std::atoi(argv[1]) : 200;
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "diffreward_evaluate_reward";
  const Dataset base =
      walk(Recording::kBase, {{"random_goal", true}}, episodes, "to random goals", folder / "base.hdf5");
  const Dataset expert =
      walk(Recording::kExpert, {{"goal_cell", {1, 1}}}, episodes, "to one goal", folder / "expert.hdf5");

  const MazeTask task{MazeMap::named("umaze"), MazeMap::point_of({1, 1})};
  const WindowLayout layout{
      .horizon = 1, .stride = 1, .action_dim = 0, .observation_dim = 4};  // x, y, vx, vy
  const FunctionReward reward(
      layout, Reads::kReached, [&task](std::span<const float> windows, std::span<float> out) {
        for (std::size_t i = 0; i < out.size(); ++i)
          out[i] =
              -std::hypot(windows[4 * i] - float(task.goal[0]), windows[4 * i + 1] - float(task.goal[1]));
      });
  const RewardEvaluation result = evaluate_reward(reward, &task, expert, base);
  const MazeEvaluation& maze = *result.maze;

  const Estimate& auroc = result.separation.auroc;
  std::printf("peak to goal      %.3f cells\n", maze.heatmap.peak_to_goal);
  std::printf("rank correlation  %.3f\n", maze.heatmap.rank_correlation);
  std::printf("AUROC             %.3f [%.3f, %.3f]\n", auroc.value, auroc.low, auroc.high);
  std::printf("EPIC to dense     %.3f\n", maze.epic_dense);
  for (const BehaviourPreference& b : maze.preference.behaviours)
    std::printf("%-17s expert %6.3f  base %6.3f  effect %6.2f\n", b.name.c_str(), b.expert.value,
                b.base.value, b.effect_size);

  if (argc > 2) {
    Page page("Minus the distance to the goal", "What a hand-written reward means, from recorded walks.");
    page.section("Where it is high")
        .figures({{draw_reward(maze.heatmap, task.map, task.goal, "reward", 640, 640),
                   "The reward over the maze."},
                  {draw_occupancy(maze.preference, task.map, task.goal, 640, 640),
                   "Where the expert is more (red)."}});
    page.section("Whom it pays")
        .chart(HistogramChart{"Mean reward over stretches of 128 steps.", "mean reward", "expert", "base",
                              result.separation.expert_histogram, result.separation.base_histogram});
    page.save(argv[2]);
  }
  std::filesystem::remove_all(folder);
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
