#include <algorithm>
#include <cmath>
#include <filesystem>

#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"
#include "rewards/recipes/recipes.h"

namespace diffreward {
namespace {

constexpr int kShort = 7;                    // cells; paths of no more show where they lead by a single row
constexpr int kInstances = 512;              // recorded side by side
constexpr std::int64_t kIteration = 32'768;  // environment steps of one iteration of PPO

int to_multiple(double value, int of) {
  return of * std::max(1, static_cast<int>(std::lround(value / of)));
}

/// The longest of the shortest paths between two cells, and where it ends.
struct LongestPath {
  int cells = 0;
  Cell end{};
};

LongestPath longest_path(const MazeMap& map) {
  LongestPath longest{0, map.free_cells()[0]};
  for (const Cell from : map.free_cells()) {
    const std::vector<int> distances = map.cell_distances(from);
    const int most = *std::max_element(distances.begin(), distances.end());
    if (most > longest.cells) longest = {most, from};
  }
  return longest;
}

template <class T, class Value>
void choose(T& field, Value value) {
  if (field == T{}) field = static_cast<T>(value);
}

}  // namespace

MazeRecipe MazeRecipe::chosen() const {
  validate(*this);
  Json options = Json::object();
  if (!map.empty()) options["map"] = map;
  if (!goal_cell.empty()) options["goal_cell"] = goal_cell;
  const auto made = make_env(env, options);
  const auto* maze = dynamic_cast<const Maze2D*>(made.get());
  require(maze != nullptr, "env: expected a maze, got ", env);
  const MazeMap& found = maze->map();
  const LongestPath longest = longest_path(found);
  const int length = longest.cells;

  MazeRecipe recipe = *this;
  if (recipe.goal_cell.empty()) {
    const Cell goal = found.goal().value_or(longest.end);
    recipe.goal_cell = {goal[0], goal[1]};
  }
  if (recipe.name.empty()) {
    std::error_code ignored;
    const bool file = std::filesystem::is_regular_file(map, ignored);
    recipe.name = map.empty() ? env
                  : file      ? std::filesystem::path(map).stem().string()
                  : map.find_first_of("\n\\") == std::string::npos ? map
                                                                   : "a map";
  }
  choose(recipe.episode_steps, to_multiple(50 + 26.3 * length, 50));
  if (!map.empty()) choose(recipe.limit, to_multiple(1.5 * recipe.episode_steps, 50));
  choose(recipe.data_steps, std::int64_t{kInstances} * std::max(1200, 2 * recipe.episode_steps));
  choose(recipe.test_steps, std::int64_t{kInstances} * recipe.episode_steps);
  choose(recipe.rows, length <= kShort ? 1 : std::clamp(2 * (length - kShort), 8, 48));
  choose(recipe.stride, recipe.rows == 1 ? 1 : 16);
  choose(recipe.batch, recipe.rows < 8 ? 256 : 128);
  choose(recipe.path_stride, length <= kShort ? 8 : 16);
  choose(recipe.path_rows, to_multiple(std::min(24.0, 0.95 * recipe.episode_steps / recipe.path_stride), 4));
  choose(recipe.guide_scale, length <= kShort ? 12 : 120);
  choose(recipe.env_steps, kIteration * to_multiple(40 + 4.6 * (length - 6), 10));
  return recipe;
}

}  // namespace diffreward
