#include "cli/maze_job.h"

#include <algorithm>

#include "envs/maze2d/maze_map.h"

namespace diffreward::cli {
namespace {

constexpr double kWholeCell = 0.8;  // an offset in cells that reaches every clear position of a cell

struct WindowSettings {
  int horizon, stride;  // rows, and environment steps between them
};

/// What differs between the mazes: everything that scales with the length of their corridors.
struct MazeSettings {
  const char* id;
  std::vector<int> goal_cell;
  int episode_steps;    // long enough to cross the maze and dwell at the goal
  WindowSettings seen;  // by the models that the reward is extracted from
  WindowSettings path;  // of the models that are steered ...
  double guide_scale;   // ... and how strongly
  int ppo_iterations;
};

MazeSettings settings_of(const std::string& maze) {
  if (maze == "open") return {"Maze2D-Open-v0", {2, 3}, 150, {4, 8}, {16, 8}, 12, 30};
  if (maze == "umaze") return {"Maze2D-UMaze-v0", {1, 1}, 200, {1, 1}, {24, 8}, 12, 40};
  if (maze == "medium") return {"Maze2D-Medium-v0", {6, 6}, 350, {8, 16}, {20, 16}, 32, 60};
  return {"Maze2D-Large-v0", {7, 10}, 550, {24, 16}, {24, 16}, 18, 100};
}

}  // namespace

MazeJob maze_job(const MazeJobConfig& config) {
  require(!config.run.out.empty(), "out: expected a folder, got nothing");
  const MazeSettings maze = settings_of(config.maze);
  const auto at = [&](const char* stage) {
    return RunConfig{config.run.out + "/" + stage, config.run.threads, config.run.reuse};
  };
  const auto shared = [&](const char* stage) {
    RunConfig run = at(stage);
    if (!config.shared.empty()) run.out = config.shared + "/" + stage;
    return run;
  };
  MazeJob job;
  job.env = maze.id;
  job.maze = config.maze;
  job.goal_cell = config.goal_cell.empty() ? maze.goal_cell : config.goal_cell;

  job.base_data.env = maze.id;
  job.base_data.count = config.tiny ? 16 : 512;
  job.base_data.steps = config.tiny ? 16 * maze.episode_steps : 512 * 1200;
  job.base_data.episode_steps = maze.episode_steps;
  job.base_data.whole_episodes = false;  // 1200 steps of each instance, as the figures were measured
  job.base_data.controller.seed = config.seed;
  // The wanderer starts and ends anywhere in a cell, so that base data has mass wherever the ball can be.
  job.base_data.start_jitter = job.base_data.goal_jitter = kWholeCell;
  job.expert_data = job.base_data;
  job.expert_data.goal_cell = job.goal_cell;
  job.expert_data.goal_jitter = 0;
  job.base_test = job.base_data;
  job.expert_test = job.expert_data;
  for (GenerateConfig* test : {&job.base_test, &job.expert_test}) {
    test->held_out = true;
    test->steps = test->count * maze.episode_steps;  // whole episodes, one an instance
  }
  job.base_data.run = shared("base_data");
  job.expert_data.run = at("expert_data");
  job.base_test.run = shared("base_test");
  job.expert_test.run = at("expert_test");

  job.base.data = job.base_data.run.out;
  job.base.model.horizon = maze.seen.horizon;
  job.base.model.stride = maze.seen.stride;
  job.base.train.batch = maze.seen.horizon < 8 ? 256 : 128;  // windows of few rows tell little each
  job.base.train.steps = config.tiny ? 20 : 3000;
  job.base.train.seed = config.seed;
  job.base.train.device = config.device;
  job.base.run = shared("base_model");
  job.expert = job.base;
  job.expert.data = job.expert_data.run.out;
  job.expert.start = job.base.run.out;
  job.expert.train.steps = config.tiny ? 20 : 1000;
  job.expert.run = at("expert_model");
  job.base_path = job.base;
  job.base_path.model.horizon = maze.path.horizon;
  job.base_path.model.stride = maze.path.stride;
  job.base_path.train.batch = 128;
  job.base_path.train.steps = config.tiny ? 20 : 12000;
  job.base_path.run.out = shared("base_path_model").out;
  job.expert_path = job.expert;
  job.expert_path.train.batch = 128;
  job.expert_path.train.steps = config.tiny ? 20 : 3000;
  job.expert_path.start = job.base_path.run.out;
  job.expert_path.run.out = at("expert_path_model").out;
  job.base_steered = job.base_path;
  job.base_steered.train.condition_probability = 1;
  job.base_steered.run.out = shared("base_steered_model").out;
  job.expert_steered = job.expert_path;
  job.expert_steered.start = job.base_steered.run.out;
  job.expert_steered.train.condition_probability = 1;
  job.expert_steered.run.out = at("expert_steered_model").out;

  job.reward.expert = job.expert.run.out;
  job.reward.base = job.base.run.out;
  job.reward.expert_data = job.expert_data.run.out;
  job.reward.base_data = job.base_data.run.out;
  job.reward.extract.channels = {2, 3};  // x, y: the row is [action, observation]
  job.reward.extract.hidden = {128, 128};
  job.reward.extract.lr = 1e-3;
  job.reward.extract.batch = job.base.train.batch;
  job.reward.extract.steps = config.tiny ? 20 : 2000;
  job.reward.extract.read_t = 0;  // where rho is sharpest
  job.reward.extract.seed = config.seed;
  job.reward.extract.device = config.device;
  job.reward.run = at("reward");
  job.discriminator = job.reward;
  job.discriminator.method = "discriminator";
  job.discriminator.run.out = at("discriminator").out;

  job.guide = job.reward;
  job.guide.expert = job.expert_path.run.out;
  job.guide.base = job.base_path.run.out;
  job.guide.extract.window = maze.path.horizon;
  job.guide.extract.batch = 128;
  job.guide.run.out = at("guide").out;

  job.evaluate.reward = job.reward.run.out;
  job.evaluate.baseline = job.discriminator.run.out;
  job.evaluate.expert_data = job.expert_test.run.out;
  job.evaluate.base_data = job.base_test.run.out;
  job.evaluate.goal_cell = job.goal_cell;
  job.evaluate.evaluation.bootstrap.seed = config.seed;
  job.evaluate.evaluation.stretch = 0;  // whole episodes
  job.evaluate.run = at("evaluate");
  job.evaluate.run.threads = 1;

  job.rl_true.env = maze.id;
  job.rl_true.goal_cell = job.goal_cell;
  job.rl_true.count = config.tiny ? 8 : 128;
  job.rl_true.episodes = config.tiny ? 8 : 256;
  job.rl_true.ppo.seed = config.seed;
  job.rl_true.ppo.device = config.device;
  job.rl_true.ppo.lr = 1e-3;
  job.rl_true.ppo.minibatches = 4;
  job.rl_true.ppo.initial_log_std = -0.5;
  const std::int64_t iteration =
      std::int64_t{job.rl_true.count} * job.rl_true.ppo.decisions * job.rl_true.ppo.action_repeat;
  job.rl_true.env_steps = iteration * (config.tiny ? 1 : maze.ppo_iterations);
  job.rl_true.run = at("rl_true");
  job.rl_plain = job.rl_true;
  job.rl_plain.reward = job.reward.run.out;
  job.rl_plain.run = at("rl_plain");
  job.rl_shaped = job.rl_plain;
  job.rl_shaped.reading.reading = "shaped";
  job.rl_shaped.run = at("rl_shaped");

  job.steer.base = job.base_steered.run.out;
  job.steer.expert = job.expert_steered.run.out;
  job.steer.reward = job.guide.run.out;
  job.steer.base_data = job.base_data.run.out;
  job.steer.goal_cell = job.goal_cell;
  job.steer.samples = config.tiny ? 8 : 512;
  job.steer.sample.guide_at = "x0";
  job.steer.sample.scale_by_variance = true;
  job.steer.sample.scale = maze.guide_scale;
  job.steer.sample.stop_guide_below = 0;
  job.steer.sample.seed = config.seed;
  job.steer.device = config.device;
  job.steer.run = at("steer");
  return job;
}

void use_temporal_unet(MazeJob& job, bool tiny) {
  for (TrainConfig* train : {&job.base, &job.expert}) {
    train->model.net = "unet";
    train->model.horizon = 64;
    train->model.stride = 1;
    train->model.dim = tiny ? 8 : 32;
    train->model.dim_mults = {1, 4, 8};
    train->train.batch = 32;
    train->run.out += "_unet";
  }
  job.expert.start = job.base.run.out;
  for (ExtractStageConfig* extract : {&job.reward, &job.discriminator}) {
    extract->base = job.base.run.out;
    extract->expert = job.expert.run.out;
    extract->extract.batch = 32;
    extract->extract.steps = tiny ? 20 : 1500;
    extract->run.out += "_unet";
  }
  job.evaluate.reward = job.reward.run.out;
  job.evaluate.baseline.clear();
  job.evaluate.run.out += "_unet";
}

}  // namespace diffreward::cli
