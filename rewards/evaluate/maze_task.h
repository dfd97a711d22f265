// The task that recordings of an expert show: where behaviour in a maze is judged.
#pragma once

#include "datasets/dataset.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {

struct MazeTask {
  MazeMap map;
  Point goal;
};

/// The maze of a recording, and the goal that all of its episodes had, from its metadata. Throws Error naming
/// the file for recordings of other environments or of no single goal.
MazeTask maze_task(const Dataset& expert);

}  // namespace diffreward
