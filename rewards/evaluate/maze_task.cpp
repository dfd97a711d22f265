#include "rewards/evaluate/maze_task.h"

#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"

namespace diffreward {

MazeTask maze_task(const Dataset& expert) {
  const Provenance& from = expert.provenance();
  const std::string file = expert.path().string();
  require(!from.env.empty(), file, ": expected the name of a maze environment in its metadata, found none");
  const auto env = make_env(from.env, from.env_options);
  const auto* maze = dynamic_cast<const Maze2D*>(env.get());
  require(maze != nullptr, file, ": expected data of a maze, found ", from.env);
  require(maze->fixed_goal().has_value(), file, ": expected recordings of one goal, found a goal an episode");
  return {maze->map(), *maze->fixed_goal()};
}

}  // namespace diffreward
