#include "envs/catalog.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "envs/linear_quadratic/linear_quadratic.h"
#include "envs/locomotion/ant.h"
#include "envs/locomotion/half_cheetah.h"
#include "envs/locomotion/hopper.h"
#include "envs/locomotion/humanoid.h"
#include "envs/locomotion/swimmer.h"
#include "envs/locomotion/walker2d.h"
#include "envs/maze2d/maze2d.h"
#include "envs/maze2d/point_maze.h"

namespace diffreward {
namespace {

/// D4RL's maze2d tasks: step limit and (random, expert) reference returns of maze2d-open-v0, umaze-v1,
/// medium-v1 and large-v1, and of their dense twins.
struct MazeTask {
  const char *name, *map;
  int max_steps;
  double sparse[2], dense[2];
};
constexpr MazeTask kMazeTasks[] = {
    {"Open", "open", 150, {0.01, 20.66}, {11.17817, 27.166538620695782}},
    {"UMaze", "umaze", 300, {23.85, 161.86}, {68.537689, 193.66285642381482}},
    {"Medium", "medium", 600, {13.13, 277.39}, {44.264742, 297.4552547777125}},
    {"Large", "large", 800, {6.7, 273.99}, {30.569041, 303.4857382709002}},
};

template <std::size_t task, bool mujoco>
struct MazeEntry {
  static constexpr const MazeTask& kTask = kMazeTasks[task];

  static std::string id() { return concat(mujoco ? "Maze2DMuJoCo-" : "Maze2D-", kTask.name, "-v0"); }

  static MazeConfig defaults() {
    MazeConfig config;
    config.engine = mujoco ? "mujoco" : "box2d";
    config.map = kTask.map;
    return config;
  }

  static std::unique_ptr<Env> make(const Json& options) {
    MazeConfig config = defaults();
    if (!options.is_null()) update(config, options);
    require(config.engine == defaults().engine, "engine: expected ", defaults().engine, ", which ", id(),
            " stands for, got ", config.engine, "; the other engine has ids of its own");
    // Reference returns belong to D4RL's task; with another map, goal or start they would be wrong.
    MazeConfig task_only = config;
    task_only.reward = defaults().reward;
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    const bool same_task = to_json(task_only) == to_json(defaults());
    const auto& reference = config.reward == "dense" ? kTask.dense : kTask.sparse;
    return std::make_unique<Maze2D>(id(), config, kTask.max_steps, same_task ? reference[0] : kNone,
                                    same_task ? reference[1] : kNone);
  }

  static EnvEntry entry() {
    return {id(),
            concat("A ball finds the goal in the ", kTask.map, " maze, on ", mujoco ? "MuJoCo" : "Box2D"),
            kTask.max_steps,
            make,
            [] { return fields(defaults()); },
            {"goal_cell", "random_goal"},
            {{"random_goal", true}}};
  }
};

/// Reference returns of a robot. D4RL's belong to the rules of Gym's v2, which v4 kept, and of HalfCheetah v5. Elsewhere
/// `random` is the mean of this engine's own whole episodes of random actions (docs/envs/README.md has the intervals), and
/// `expert` a fixed yardstick: D4RL's expert of the same robot (Hopper, Walker2d), Gymnasium's reward_threshold (Swimmer,
/// Ant), or the return of RL Baselines3 Zoo's TQC (Humanoid-v3).
struct Reference {
  double random, expert;
};
constexpr Reference kHalfCheetah = {-280.178953, 12135.0}, kHopper = {-20.272305, 3234.3},
                    kWalker2d = {1.629008, 4592.3}, kHopperV5 = {17.3, 3234.3}, kWalker2dV5 = {1.7, 4592.3},
                    kSwimmer = {0.1, 360.0}, kAntV5 = {-50.4, 6000.0}, kAntV4 = {-49.3, 6000.0},
                    kHumanoidV5 = {113.1, 7239.3}, kHumanoidV4 = {121.5, 7239.3};

/// A robot under Gymnasium's rules of a version. With options of one's own it is another task, without
/// reference returns.
template <class Robot, class Config, int version, const Reference& reference>
EnvEntry robot(const char* name, const char* summary) {
  static const std::string id = concat(name, "-v", version);
  return {id,
          concat(summary, ", under Gymnasium's v", version, " rules"),
          kRobotSteps,
          [](const Json& options) -> std::unique_ptr<Env> {
            Config config;
            if (!options.is_null()) update(config, options);
            auto env = std::make_unique<Robot>(id, version, config);
            if (to_json(config) == to_json(Config{})) env->set_references(reference.random, reference.expert);
            return env;
          },
          [] { return fields(Config{}); },
          {},
          Json::object()};
}

/// Gymnasium-Robotics' point mazes and their step limits. Each reset draws a goal, among cells that are the
/// map's: no option prefers one.
struct PointMazeTask {
  const char *name, *map;
  int max_steps;
};
constexpr PointMazeTask kPointMazeTasks[] = {
    {"Open", "open", 300},
    {"Open_Diverse_G", "open_diverse_g", 300},
    {"Open_Diverse_GR", "open_diverse_gr", 300},
    {"UMaze", "umaze", 300},
    {"Medium", "medium", 600},
    {"Medium_Diverse_G", "medium_diverse_g", 600},
    {"Medium_Diverse_GR", "medium_diverse_gr", 600},
    {"Large", "large", 800},
    {"Large_Diverse_G", "large_diverse_g", 800},
    {"Large_Diverse_GR", "large_diverse_gr", 800},
};

template <std::size_t task, bool dense>
EnvEntry point_maze() {
  static constexpr const PointMazeTask& kTask = kPointMazeTasks[task];
  static const std::string id = concat("PointMaze_", kTask.name, dense ? "Dense" : "", "-v3");
  static const PointMazeConfig defaults = {.maze_map = kTask.map, .reward_type = dense ? "dense" : "sparse"};
  return {id,
          concat("A ball is told its goal in the ", kTask.map, " maze, under Gymnasium-Robotics' v3 rules"),
          kTask.max_steps,
          [](const Json& options) -> std::unique_ptr<Env> {
            PointMazeConfig config = defaults;
            if (!options.is_null()) update(config, options);
            return std::make_unique<PointMaze>(id, config, kTask.max_steps);
          },
          [] { return fields(defaults); },
          {},
          Json::object()};
}

/// All point mazes, each before its dense twin.
template <std::size_t... tasks>
void add_point_mazes(std::vector<EnvEntry>& catalog, std::index_sequence<tasks...>) {
  (catalog.insert(catalog.end(), {point_maze<tasks, false>(), point_maze<tasks, true>()}), ...);
}

EnvEntry linear_quadratic() {
  return {"LinearQuadratic-v0",
          "A mass is pushed to the origin: the best law is known",
          LinearQuadratic::kSteps,
          [](const Json& options) -> std::unique_ptr<Env> {
            LinearQuadraticConfig config;
            if (!options.is_null()) update(config, options);
            return std::make_unique<LinearQuadratic>(config);
          },
          [] { return fields(LinearQuadraticConfig{}); },
          {},
          Json::object()};
}

std::vector<EnvEntry> make_catalog() {
  std::vector<EnvEntry> catalog = {
      MazeEntry<0, false>::entry(),
      MazeEntry<1, false>::entry(),
      MazeEntry<2, false>::entry(),
      MazeEntry<3, false>::entry(),
      MazeEntry<0, true>::entry(),
      MazeEntry<1, true>::entry(),
      MazeEntry<2, true>::entry(),
      MazeEntry<3, true>::entry(),
      robot<HalfCheetah, HalfCheetahConfig, 5, kHalfCheetah>("HalfCheetah", "A planar two-legged runner"),
      robot<HalfCheetah, HalfCheetahConfig, 4, kHalfCheetah>("HalfCheetah", "A planar two-legged runner"),
      robot<Hopper, HopperConfig, 5, kHopperV5>("Hopper", "A planar one-legged hopper"),
      robot<Hopper, HopperConfig, 4, kHopper>("Hopper", "A planar one-legged hopper"),
      robot<Walker2d, Walker2dConfig, 5, kWalker2dV5>("Walker2d", "A planar two-legged walker"),
      robot<Walker2d, Walker2dConfig, 4, kWalker2d>("Walker2d", "A planar two-legged walker"),
      robot<Swimmer, SwimmerConfig, 5, kSwimmer>("Swimmer", "Three links in a viscous plane"),
      robot<Swimmer, SwimmerConfig, 4, kSwimmer>("Swimmer", "Three links in a viscous plane"),
      robot<Ant, AntConfig, 5, kAntV5>("Ant", "A four-legged walker"),
      robot<Ant, AntV4Config, 4, kAntV4>("Ant", "A four-legged walker"),
      robot<Humanoid, HumanoidConfig, 5, kHumanoidV5>("Humanoid", "A two-legged walker with arms"),
      robot<Humanoid, HumanoidV4Config, 4, kHumanoidV4>("Humanoid", "A two-legged walker with arms"),
  };
  add_point_mazes(catalog, std::make_index_sequence<std::size(kPointMazeTasks)>());
  catalog.push_back(linear_quadratic());
  return catalog;
}

/// Null stands for no options, as in make_env.
void check_table(const EnvConfig& config) {
  require(config.options.is_object() || config.options.is_null(), config.id,
          ": options: expected a table of keys, got ", brief(config.options));
}

}  // namespace

const std::vector<EnvEntry>& env_catalog() {
  static const std::vector<EnvEntry> catalog = make_catalog();
  return catalog;
}

const EnvEntry& env_entry(const std::string& id) {
  std::vector<std::string> known;
  for (const EnvEntry& entry : env_catalog()) {
    if (entry.id == id) return entry;
    known.push_back(entry.id);
  }
  throw InvalidArgument(unknown_name("environment", id, known));
}

std::unique_ptr<Env> make_env(const std::string& id, const Json& options) {
  const EnvEntry& entry = env_entry(id);
  try {
    return entry.make(options);
  } catch (const InvalidArgument& error) {
    const std::string message = error.what();
    throw InvalidArgument(message.starts_with(id) ? message : concat(id, ": ", message));
  }
}

std::unique_ptr<Env> make_env(const EnvConfig& config) {
  return make_env(config.id, config.options);
}

EnvSpec env_spec(const std::string& id, const Json& options) {
  return make_env(id, options)->spec();
}

bool is_directed(const EnvConfig& config) {
  const EnvEntry& entry = env_entry(config.id);
  check_table(config);
  const auto named = [&](const std::string& option) { return config.options.contains(option); };
  bool undirected = !entry.undirected.empty();
  for (const auto& [option, value] : entry.undirected.items())
    undirected = undirected && named(option) && config.options.at(option) == value;
  return !undirected && std::ranges::any_of(entry.task_options, named);
}

Json undirected_options(const EnvConfig& config) {
  if (is_directed(config)) return config.options;
  Json options = env_entry(config.id).undirected;
  if (config.options.is_object()) options.update(config.options);
  return options;
}

}  // namespace diffreward
