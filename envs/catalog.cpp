#include "envs/catalog.h"

#include "core/error.h"
#include "envs/locomotion/ant.h"
#include "envs/locomotion/half_cheetah.h"
#include "envs/locomotion/hopper.h"
#include "envs/locomotion/humanoid.h"
#include "envs/locomotion/swimmer.h"
#include "envs/locomotion/walker2d.h"
#include "envs/maze2d/maze2d.h"

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
            make, [] { return fields(defaults()); }};
  }
};

/// D4RL's (random, expert) reference returns. They belong to the rules of Gym's v2, which v4 kept.
struct Reference {
  double random = std::numeric_limits<double>::quiet_NaN(), expert = random;
};
constexpr Reference kNoReference, kHalfCheetah = {-280.178953, 12135.0}, kHopper = {-20.272305, 3234.3},
                                  kWalker2d = {1.629008, 4592.3};

/// A robot under Gymnasium's rules of a version. With options of one's own it is another task, without
/// reference returns.
template <class Robot, class Config, int version, const Reference& reference = kNoReference>
EnvEntry robot(const char* name, const char* summary) {
  static const std::string id = concat(name, "-v", version);
  return {id, concat(summary, ", under Gymnasium's v", version, " rules"),
          [](const Json& options) -> std::unique_ptr<Env> {
            Config config;
            if (!options.is_null()) update(config, options);
            auto env = std::make_unique<Robot>(id, version, config);
            if (to_json(config) == to_json(Config{})) env->set_references(reference.random, reference.expert);
            return env;
          },
          [] { return fields(Config{}); }};
}

}  // namespace

const std::vector<EnvEntry>& env_catalog() {
  static const std::vector<EnvEntry> catalog = {
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
      robot<Hopper, HopperConfig, 5>("Hopper", "A planar one-legged hopper"),
      robot<Hopper, HopperConfig, 4, kHopper>("Hopper", "A planar one-legged hopper"),
      robot<Walker2d, Walker2dConfig, 5>("Walker2d", "A planar two-legged walker"),
      robot<Walker2d, Walker2dConfig, 4, kWalker2d>("Walker2d", "A planar two-legged walker"),
      robot<Swimmer, SwimmerConfig, 5>("Swimmer", "Three links in a viscous plane"),
      robot<Swimmer, SwimmerConfig, 4>("Swimmer", "Three links in a viscous plane"),
      robot<Ant, AntConfig, 5>("Ant", "A four-legged walker"),
      robot<Ant, AntV4Config, 4>("Ant", "A four-legged walker"),
      robot<Humanoid, HumanoidConfig, 5>("Humanoid", "A two-legged walker with arms"),
      robot<Humanoid, HumanoidV4Config, 4>("Humanoid", "A two-legged walker with arms"),
  };
  return catalog;
}

std::unique_ptr<Env> make_env(const std::string& id, const Json& options) {
  std::vector<std::string> known;
  for (const EnvEntry& entry : env_catalog()) {
    known.push_back(entry.id);
    if (entry.id != id) continue;
    try {
      return entry.make(options);
    } catch (const InvalidArgument& error) {
      const std::string message = error.what();
      throw InvalidArgument(message.starts_with(id) ? message : concat(id, ": ", message));
    }
  }
  throw InvalidArgument(unknown_name("environment", id, known));
}

EnvSpec env_spec(const std::string& id, const Json& options) {
  return make_env(id, options)->spec();
}

}  // namespace diffreward
