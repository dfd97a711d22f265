// Recipes: settings of the whole method for one kind of task, chosen from the task by a documented rule, so
// that a job (jobs/) runs where nobody has tuned it. docs/recipe.md tells what the rules rest on.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"

namespace diffreward {

/// A ball in a maze. L is the longest of the shortest paths between two of its cells, in cells; a field of 0
/// (or empty) is chosen from it.
///
///   field           rule                                         umaze  medium  large   (L = 6, 11, 19)
///   episode_steps   50 + 26.3 L, to 50                           200    350     550
///   limit           the environment's own; of another map        300    600     800
///                   1.5 episode_steps, to 50
///   data_steps      512 instances of max(1200, 2 episode_steps)
///   test_steps      512 episodes
///   rows            1 for L <= 7, else 2 (L - 7) in [8, 48]      1      8       24
///   stride          16; 1 for one row                            1      16      16
///   batch           256 for rows < 8, else 128                   256    128     128
///   path_stride     8 for L <= 7, else 16                        8      16      16
///   path_rows       0.95 episode_steps / path_stride, to 4,      24     20      24
///                   at most 24
///   guide_scale     12 for L <= 7, else 120
///   env_steps       32768 times 40 + 4.6 (L - 6), to 10          40     60      100
///
/// The reward's models see few rows where corridors are short (docs/design/0004), those of whole paths nearly
/// an episode.
struct MazeRecipe {
  std::string env = "Maze2D-UMaze-v0";
  std::string map;             // a map's name, file or text; empty: the environment's own
  std::vector<int> goal_cell;  // row, column; empty: the map's G, or the end of the longest shortest path
  std::string name;            // of the task, for people; empty: the map's file or name, or the environment's
  int episode_steps = 0;       // of recordings
  int limit = 0;               // of agents' episodes, steps
  std::int64_t data_steps = 0, test_steps = 0;
  int rows = 0, stride = 0, batch = 0;  // windows that the reward's models see, and how many a step
  int path_rows = 0, path_stride = 0;   // windows of the models that are steered
  double guide_scale = 0;               // of their guide
  std::int64_t env_steps = 0;           // that agents are trained for

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "environment id of a maze");
    field("map", self.map, "a map's name, file or text; empty for the environment's own");
    field("goal_cell", self.goal_cell,
          "row,column of the expert's goal; empty for the map's own, or the end of its longest path");
    field("name", self.name, "of the task, for people");
    field("episode_steps", self.episode_steps, "steps of recorded episodes", Bounds{0, 1e6});
    field("limit", self.limit, "steps of an agent's episodes, 0 for the environment's own", Bounds{0, 1e6});
    field("data_steps", self.data_steps, "transitions of a recording", Bounds{0, 1e12});
    field("test_steps", self.test_steps, "transitions of a recording to test on", Bounds{0, 1e12});
    field("rows", self.rows, "of a window that the reward's models see", Bounds{0, 4096});
    field("stride", self.stride, "environment steps between these rows", Bounds{0, 4096});
    field("batch", self.batch, "windows a step", Bounds{0, 1 << 20});
    field("path_rows", self.path_rows, "of a window that the steered models see", Bounds{0, 4096});
    field("path_stride", self.path_stride, "environment steps between these rows", Bounds{0, 4096});
    field("guide_scale", self.guide_scale, "strength of the guide", Bounds{0, 1e6});
    field("env_steps", self.env_steps, "environment steps that agents are trained for", Bounds{0, 1e12});
  }

  /// The recipe with every field chosen. Throws InvalidArgument for a map or a goal that cannot be, and for
  /// environments that are no mazes.
  MazeRecipe chosen() const;
};

/// A recipe by name, for jobs: its fields, and a table of them with every one chosen.
struct RecipeEntry {
  std::string name;
  std::vector<FieldInfo> (*fields)();
  Json (*choose)(const Json& given);
};
/// Every recipe there is.
const std::vector<RecipeEntry>& recipe_catalog();

}  // namespace diffreward
