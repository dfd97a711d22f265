// The maze models as MJCF text, without the colours.
#pragma once

#include <string>

#include "envs/maze2d/maze_map.h"

namespace diffreward {

/// D4RL's, which Maze2D's MuJoCo engine loads: a sphere on two slide joints whose frame sits at (1.2, 1.2),
/// one box a wall cell (r, c) at (r + 1, c + 1), so that qpos is a position as in maze_map.h. qpos, qvel and
/// ctrl: [2] rows, columns. Before each step the caller clips qvel to [-5, 5].
std::string maze_mjcf(const MazeMap& map);

/// PointMaze's model, the same ball in Gymnasium-Robotics' coordinates: the origin in the middle of the maze,
/// x along columns, y against rows, the walls standing on the ball's plane. qpos, qvel and ctrl: [2] x, y.
std::string point_maze_mjcf(const MazeMap& map);

}  // namespace diffreward
