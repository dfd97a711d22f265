// The stages of the main job, each a config and a function. A subcommand runs one; `demo` and the benchmarks
// run them in sequence:  generate -> train -> extract -> evaluate -> rl -> steer -> report.
//
// Paths given as inputs may be a stage's folder; it stands for the product in it.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "agents/diffusion/diffusion_model.h"
#include "agents/planner.h"
#include "agents/ppo/ppo.h"
#include "agents/scripted/waypoints.h"
#include "cli/stage.h"
#include "core/config.h"
#include "rewards/evaluate/evaluate.h"
#include "rewards/reading.h"

namespace diffreward::cli {

/// Where a stage writes and how it runs; the last fields of every stage's config.
struct RunConfig {
  std::string out;     // folder
  int threads = 0;     // 0: one per core
  bool reuse = false;  // return the recorded result if the folder holds this very stage

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("out", self.out, "folder for the products");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
    field("reuse", self.reuse, "keep a finished stage of the same config and inputs");
  }
};

struct GenerateConfig {
  std::string env = "Maze2D-UMaze-v0";
  std::string map;                // a map file or text in place of the environment's own
  std::string reward = "sparse";  // sparse or dense
  std::vector<int>
      goal_cell;  // row, column: expert data for this goal; empty: base data, a random goal per episode
  std::int64_t steps = 600'000;  // transitions
  int count = 512;               // instances recorded side by side
  int episode_steps = 200;       // steps until the next start; 0: the environment's own limit
  bool whole_episodes = true;    // fewer instances and more steps, until every episode is whole
  double start_jitter = 0.3;     // cells
  double goal_jitter = 0;        // cells
  bool held_out = false;         // to test on: no random number of the recording to train on
  std::string format = "d4rl";   // d4rl or minari
  WaypointConfig controller{.action_noise = 0.1};
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "environment id (diffreward envs)");
    field("map", self.map, "a map file or text in place of the environment's own");
    field("reward", self.reward, "the recorded task reward", Choices{"sparse", "dense"});
    field("goal_cell", self.goal_cell,
          "row,column of the expert's goal; empty for base data with random goals");
    field("steps", self.steps, "transitions to record", Bounds{1, 1e12});
    field("count", self.count, "instances recorded side by side", Bounds{1, 1 << 20});
    field("episode_steps", self.episode_steps, "steps per episode, 0 for the environment's own",
          Bounds{0, 1e9});
    field("whole_episodes", self.whole_episodes,
          "round steps up to whole episodes, by fewer instances where these are too many");
    field("start_jitter", self.start_jitter, "uniform offset of starts per axis, cells", Bounds{0, 1});
    field("goal_jitter", self.goal_jitter, "uniform offset of goals per axis, cells", Bounds{0, 1});
    field("held_out", self.held_out,
          "a recording to test on: it shares no random number with the one to train on");
    field("format", self.format, "file format", Choices{"d4rl", "minari"});
    WaypointConfig::visit(self.controller, field);
    RunConfig::visit(self.run, field);
  }
};
Json run_generate(const GenerateConfig& config);

struct TrainConfig {
  std::string data;   // data set or generate's folder
  std::string start;  // model to fine-tune; empty: from scratch
  DiffusionConfig model;
  DiffusionTrainConfig train;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("data", self.data, "data set: a file, a Minari folder or the folder of generate");
    field("start", self.start, "model to fine-tune (its settings win); empty for a fresh one");
    DiffusionConfig::visit(self.model, field);
    DiffusionTrainConfig::visit(self.train, field);
    RunConfig::visit(self.run, field);
  }
};
Json run_train(const TrainConfig& config);

struct ExtractStageConfig {
  std::string expert, base;            // models or train's folders
  std::string expert_data, base_data;  // data sets or generate's folders
  std::string method = "relative";     // relative, or discriminator (the baseline)
  ExtractConfig extract;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("expert", self.expert, "expert model");
    field("base", self.base, "base model");
    field("expert_data", self.expert_data, "data of the expert");
    field("base_data", self.base_data, "data of the base");
    field("method", self.method, "gradient matching, or an expert-vs-base classifier",
          Choices{"relative", "discriminator"});
    ExtractConfig::visit(self.extract, field);
    RunConfig::visit(self.run, field);
  }
};
Json run_extract(const ExtractStageConfig& config);

struct RlConfig {
  std::string env = "Maze2D-UMaze-v0";
  std::string map;             // a map file or text in place of the environment's own
  std::vector<int> goal_cell;  // row, column
  std::string reward;          // reward file or extract's folder; empty: the task's own dense reward
  ReadingConfig reading;
  int count = 128;                     // instances
  std::int64_t env_steps = 1'310'720;  // environment steps in all
  int episodes = 256;                  // evaluation episodes
  PpoConfig ppo{.action_repeat = 4};
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "environment id (diffreward envs)");
    field("map", self.map, "a map file or text in place of the environment's own");
    field("goal_cell", self.goal_cell, "row,column of the goal; empty for the map's own");
    field("reward", self.reward, "reward to train on; empty for the task's own dense reward");
    ReadingConfig::visit(self.reading, field);
    field("count", self.count, "instances", Bounds{1, 1 << 20});
    field("env_steps", self.env_steps, "environment steps of training, all instances", Bounds{1, 1e12});
    field("episodes", self.episodes, "evaluation episodes", Bounds{1, 1e6});
    PpoConfig::visit(self.ppo, field);
    RunConfig::visit(self.run, field);
  }
};
Json run_rl(const RlConfig& config);

struct EvaluateConfig {
  std::string reward;                  // extract's folder or a reward file
  std::string baseline;                // discriminator to stand beside it; empty for none
  std::string expert_data, base_data;  // recordings that nothing was fitted to
  std::vector<int> goal_cell;          // row, column; empty: the map's own goal
  RewardEvaluationConfig evaluation;
  int width = 480;  // of pictures, pixels
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("reward", self.reward, "reward to evaluate");
    field("baseline", self.baseline, "discriminator to stand beside it; empty for none");
    field("expert_data", self.expert_data, "recordings of the expert that nothing was fitted to");
    field("base_data", self.base_data, "recordings of the base that nothing was fitted to");
    field("goal_cell", self.goal_cell, "row,column of the goal; empty for the map's own");
    RewardEvaluationConfig::visit(self.evaluation, field);
    field("width", self.width, "of pictures, pixels", Bounds{64, 8192});
    RunConfig::visit(self.run, field);
  }
};
Json run_evaluate(const EvaluateConfig& config);

struct SteerConfig {
  std::string base, expert;    // models that take a first observation (train --condition-probability)
  std::string reward;          // guide
  std::string base_data;       // what steps look like, and where starts are
  std::vector<int> goal_cell;  // row, column; empty: the map's own
  std::string units =
      "reward";       // of the guide: grad rho as it is, or difference: s_t grad rho, an expert's step
  int samples = 512;  // trajectories per model
  int width = 480;    // of pictures, pixels
  SampleConfig sample{.scale = 1, .stop_guide_below = 5};
  std::string device = "cpu";
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("base", self.base, "base model, the one that is steered");
    field("expert", self.expert, "expert model, to compare with");
    field("reward", self.reward, "reward that guides");
    field("base_data", self.base_data, "data of the base: typical steps and starts");
    field("goal_cell", self.goal_cell, "row,column of the goal; empty for the map's own");
    field("units", self.units, "the gradient of rho as it is, or scaled to an estimate of the expert's step",
          Choices{"reward", "difference"});
    field("samples", self.samples, "trajectories per model", Bounds{1, 1e6});
    field("width", self.width, "of pictures, pixels", Bounds{64, 8192});
    SampleConfig::visit(self.sample, field);
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    RunConfig::visit(self.run, field);
  }
};
Json run_steer(const SteerConfig& config);

struct PlanConfig {
  std::string model;   // takes a first observation (train --condition-probability)
  std::string reward;  // guide; empty: the model acts by itself
  std::string env = "Maze2D-UMaze-v0";
  std::string map;             // a map file or text in place of the environment's own
  std::vector<int> goal_cell;  // row, column; empty: the map's own
  int count = 64;              // instances planned side by side
  int episodes = 256;
  int episode_steps = 0;  // 0: the environment's own limit
  PlannerConfig planner;
  SampleConfig sample{.scale = 1};
  std::string device = "cpu";
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("model", self.model, "model that plans");
    field("reward", self.reward, "reward that guides it; empty for none");
    field("env", self.env, "environment id (diffreward envs)");
    field("map", self.map, "a map file or text in place of the environment's own");
    field("goal_cell", self.goal_cell, "row,column of the goal; empty for the map's own");
    field("count", self.count, "instances planned side by side", Bounds{1, 1 << 20});
    field("episodes", self.episodes, "episodes", Bounds{1, 1e6});
    field("episode_steps", self.episode_steps, "steps per episode, 0 for the environment's own",
          Bounds{0, 1e9});
    PlannerConfig::visit(self.planner, field);
    SampleConfig::visit(self.sample, field);
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    RunConfig::visit(self.run, field);
  }
};
/// Episodes of a Planner: returns, in mazes the share that ends at the goal, and each episode's figures.
Json run_plan(const PlanConfig& config);

/// The maze that a recording was made in.
MazeMap maze_of_data(const Dataset& data);
/// Its goal point: the cell's, or the map's own.
Point goal_of(const MazeMap& map, const std::vector<int>& goal_cell);

/// A map as an input where it is a file.
StageInput map_input(const std::string& map);

/// Opens what a path stands for (a product or its stage's folder).
Dataset open_data(const std::string& path);
DiffusionModel open_model(const std::string& path, const std::string& device);
/// The environment options of a maze with these settings.
Json maze_options(const std::string& map, const std::vector<int>& goal_cell, const std::string& reward);

}  // namespace diffreward::cli
