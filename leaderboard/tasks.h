// The tasks that a board comes with, by suites:
//
//   maze2d   return in each of the four mazes, to a goal that no setting of the project was chosen on
//   robots   return of HalfCheetah, Hopper and Walker2d
//   rewards  what a reward extracted for such a maze and goal is worth: its peak's distance to the goal, its
//            rank correlation with the shortest path, its AUROC and its EPIC distance
//   images   how a reward of pictures tells scenes with weapons from others, and from look-alikes, in the hand of an
//            artist whom the project's pipeline never saw (docs/scenes.md)
//
// A task's streams are sealed by a seed that nothing else draws from: the first bits of a hash of its name. Who
// trains or chooses on them breaks the seal, and nothing but the number tells.
#pragma once

#include <vector>

#include "core/config.h"
#include "datasets/scenes/scenes.h"
#include "leaderboard/board.h"

namespace diffreward {

const std::vector<BoardTask>& builtin_board_tasks();

/// How the streams of a pool are run.
struct StreamPool {
  std::uint64_t seed = 0;
  int episodes = 100;  // streams 0 ... episodes - 1; of pictures blocks, each scored by itself
  int instances =
      50;  // run side by side; part of the task, for the rounding of matrix products depends on it; pictures of a block
  int episode_steps = 0;  // 0: the environment's own limit

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("seed", self.seed, "seed of the streams");
    field("episodes", self.episodes, "streams; of pictures blocks", Bounds{1, 1e6});
    field("instances", self.instances, "instances side by side; pictures of a block", Bounds{1, 1 << 16});
    field("episode_steps", self.episode_steps, "steps per episode, 0 for the environment's own",
          Bounds{0, 1e9});
  }
};

/// The scenes that a task of pictures is about: `count` of them, in blocks of pool_of(task).instances. The concept is the
/// config's `target`. Throws InvalidArgument naming the task and the option.
SceneConfig scenes_of(const BoardTask& task);

/// A task's pool, checked. Throws InvalidArgument naming the task and the field.
StreamPool pool_of(const BoardTask& task);

/// 63 bits of the SHA-256 of a task's name.
std::uint64_t sealed_seed(const std::string& name);

}  // namespace diffreward
