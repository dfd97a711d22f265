// The task that recordings of an expert show: where behaviour in a maze is judged, and the maze's own reward for it.
#pragma once

#include <memory>

#include "datasets/dataset.h"
#include "envs/maze2d/maze_map.h"
#include "rewards/reward_model.h"

namespace diffreward {

struct MazeTask {
  MazeMap map;
  Point goal;
  bool dense = false;  // the recording's own reward: exp(-distance), or 1 within 0.5 cells
};

/// The maze of a recording, and the goal that all of its episodes had, from its metadata. Throws Error naming
/// the file for recordings of other environments or of no single goal.
MazeTask maze_task(const Dataset& expert);
/// Whether a recording is of a maze.
bool is_of_maze(const Dataset& data);

/// The maze's own reward for the state reached, of rows [action (of this size), x, y, vx, vy]: exp(-distance), or 1
/// within 0.5 cells.
std::shared_ptr<const RewardModel> maze_reward(Point goal, bool dense, int action_dim = 2);

}  // namespace diffreward
