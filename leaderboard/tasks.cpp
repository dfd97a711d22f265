#include "leaderboard/tasks.h"

#include "core/hash.h"
#include "envs/catalog.h"

namespace diffreward {
namespace {

/// A maze with the goal of its results-*-unseen job (of the open one, which has none: of the free cells farthest from
/// the other goal the first), and what the waypoint controller earns there (diffreward board submit waypoints), which
/// counts as 1.
struct MazeSuite {
  const char *name, *id;
  std::vector<int> goal_cell;
  double controller_return;
  int recorded_steps;  // of an episode of the recordings that rewards are judged on (rewards/recipes/recipes.h)
};

const std::vector<MazeSuite>& mazes() {
  static const std::vector<MazeSuite> list = {{"open", "Maze2D-Open-v0", {1, 1}, 76.6, 150},
                                              {"umaze", "Maze2D-UMaze-v0", {3, 2}, 245, 200},
                                              {"medium", "Maze2D-Medium-v0", {6, 2}, 459, 350},
                                              {"large", "Maze2D-Large-v0", {5, 4}, 519, 550}};
  return list;
}

/// Of a reward: raw figures that count as 0 and as 1.
struct RewardFigure {
  const char *metric, *direction;
  double low, high;
};

constexpr RewardFigure kRewardFigures[] = {
    {"peak_to_goal", "lower", 2.0, 0.0},         // cells
    {"rank_correlation", "higher", 0.0, 1.0},    // Spearman
    {"auroc", "higher", 0.5, 1.0},               // 0.5: as good as none
    {"epic_to_dense", "lower", 0.70710678, 0.0}  // sqrt(1/2): unrelated
};

constexpr int kJudgedEpisodes = 256, kJudgedInstances = 64;
constexpr int kPictureBlocks = 20, kPicturesOfBlock = 100, kMostPicturesOfBlock = 4096;
/// Of the drawings that come with the project: others would be another task.
constexpr const char* kDrawings = "0a13b12f9f495a8f5d9eea394d40707ab469ea50a4a6010cc86b6fefb04b3d55";

Json sealed(const std::string& name, int episodes, int instances, int episode_steps) {
  return to_json(StreamPool{sealed_seed(name), episodes, instances, episode_steps});
}

std::vector<BoardTask> make_tasks() {
  std::vector<BoardTask> tasks;
  for (const MazeSuite& maze : mazes()) {
    const std::string name = concat("maze2d/", maze.name);
    tasks.push_back({.name = name,
                     .env = maze.id,
                     .options = {{"goal_cell", maze.goal_cell}},
                     .norm_low = 0,
                     .norm_high = maze.controller_return,
                     .pool = sealed(name, 100, 50, 0)});
  }
  for (const char* robot : {"HalfCheetah-v4", "Hopper-v4", "Walker2d-v4"}) {
    const std::string name = concat("robots/", robot);
    const EnvSpec spec = env_spec(robot);
    tasks.push_back({.name = name,
                     .env = robot,
                     .norm_low = spec.random_return,
                     .norm_high = spec.expert_return,
                     .pool = sealed(name, 100, 50, 0)});
  }
  for (const MazeSuite& maze : mazes())
    for (const RewardFigure& figure : kRewardFigures)
      tasks.push_back({.name = concat("rewards/", maze.name, "/", figure.metric),
                       .kind = "reward",
                       .env = maze.id,
                       .options = {{"goal_cell", maze.goal_cell}},
                       .metric = figure.metric,
                       .direction = figure.direction,
                       .norm_low = figure.low,
                       .norm_high = figure.high,
                       // The figures of one maze are read off the same recordings.
                       .pool = sealed(concat("rewards/", maze.name), kJudgedEpisodes, kJudgedInstances,
                                      maze.recorded_steps)});
  for (const auto& [name, contents] : {std::pair{"unseen_artist", "mixed"}, {"look_alikes", "look_alikes"}}) {
    const std::string task = concat("images/weapons/", name);
    tasks.push_back({.name = task,
                     .kind = "image_reward",
                     .env = kEmojiScenes,
                     .options = {{"split", "held_out_artists"},
                                 {"contents", contents},
                                 {"target", "weapons"},
                                 {"atlas_sha256", kDrawings}},
                     .metric = "auroc",
                     .norm_low = 0.5,  // as good as none
                     .norm_high = 1,
                     .pool = sealed(task, kPictureBlocks, kPicturesOfBlock, 0)});
  }
  return tasks;
}

}  // namespace

std::uint64_t sealed_seed(const std::string& name) {
  return std::stoull(sha256("diffreward board " + name).substr(0, 16), nullptr, 16) >> 1u;
}

StreamPool pool_of(const BoardTask& task) {
  try {
    StreamPool pool;
    update(pool, task.pool);
    return pool;
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(concat("task ", task.name, ": stream_pool: ", error.what()));
  }
}

SceneConfig scenes_of(const BoardTask& task) {
  try {
    require(task.env == kEmojiScenes, "env: expected ", kEmojiScenes, ", found '", task.env, "'");
    for (const char* name : {"count", "atlas"})  // the pool's, and a path of somebody's disk
      require(!task.options.contains(name), "options: expected none named ", name, ", found it");
    SceneConfig config;
    update(config, task.options);
    const StreamPool pool = pool_of(task);
    require(pool.instances <= kMostPicturesOfBlock, "stream_pool: instances: expected at most ",
            kMostPicturesOfBlock, " pictures of a block, found ", pool.instances);
    config.count = std::int64_t{pool.episodes} * pool.instances;
    validate(config);
    return config;
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(concat("task ", task.name, ": ", error.what()));
  }
}

const std::vector<BoardTask>& builtin_board_tasks() {
  static const std::vector<BoardTask> tasks = make_tasks();
  return tasks;
}

}  // namespace diffreward
