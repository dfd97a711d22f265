#include "rewards/evaluate/maze_task.h"

#include <cmath>

#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"
#include "rewards/evaluate/scored_windows.h"

namespace diffreward {

bool is_of_maze(const Dataset& data) {
  const Provenance& from = data.provenance();
  if (from.env.empty()) return false;
  return dynamic_cast<const Maze2D*>(make_env(from.env, from.env_options).get()) != nullptr;
}

MazeTask maze_task(const Dataset& expert) {
  const Provenance& from = expert.provenance();
  const std::string file = expert.path().string();
  require(!from.env.empty(), file, ": expected the name of a maze environment in its metadata, found none");
  const auto env = make_env(from.env, from.env_options);
  const auto* maze = dynamic_cast<const Maze2D*>(env.get());
  require(maze != nullptr, file, ": expected data of a maze, found ", from.env);
  require(maze->fixed_goal().has_value(), file, ": expected recordings of one goal, found a goal an episode");
  return {maze->map(), *maze->fixed_goal(), maze->config().reward == "dense"};
}

std::shared_ptr<const RewardModel> maze_reward(Point goal, bool dense, int action_dim) {
  const WindowLayout layout{.horizon = 1, .action_dim = action_dim, .observation_dim = 4};
  return std::make_shared<FunctionReward>(
      layout, Reads::kReached, [goal, dense, layout](std::span<const float> windows, std::span<float> out) {
        for (std::size_t i = 0; i < out.size(); ++i) {
          const float* state =
              windows.data() + i * static_cast<std::size_t>(layout.size()) + layout.action_dim;
          const double d = std::hypot(state[0] - goal[0], state[1] - goal[1]);
          out[i] = static_cast<float>(dense ? std::exp(-d) : (d <= Maze2D::kGoalRadius ? 1.0 : 0.0));
        }
      });
}

}  // namespace diffreward
