// The main job on one maze and goal, as a list of stage configs with settings that were measured
// (docs/recipe.md). `demo` runs one job, benchmarks/maze2d_results runs many.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/stages.h"

namespace diffreward::cli {

struct MazeJobConfig {
  std::string maze = "umaze";  // open, umaze, medium or large
  std::vector<int> goal_cell;  // row, column; empty: a goal per maze
  std::uint64_t seed = 0;      // of everything
  std::string device = "cpu";
  std::string shared;  // folder of the base data and model, to share them between goals; empty: out
  bool tiny = false;   // seconds instead of minutes: proves the wiring, not the method
  RunConfig run{{}, 0, true};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("maze", self.maze, "which maze", Choices{"open", "umaze", "medium", "large"});
    field("goal_cell", self.goal_cell, "row,column of the expert's goal; empty for a default");
    field("seed", self.seed, "seed of everything");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    field("shared", self.shared, "folder of base data and model, to share them between goals; empty for out");
    field("tiny", self.tiny, "tiny settings: proves the wiring, not the method");
    RunConfig::visit(self.run, field);
  }
};

struct MazeJob {
  std::string env, maze;
  std::vector<int> goal_cell;
  GenerateConfig base_data, expert_data;
  GenerateConfig base_test, expert_test;     // recordings that nothing is fitted to
  TrainConfig base, expert;                  // of short windows without a first state: for the reward
  TrainConfig base_path, expert_path;        // of whole walks without a first state: for the guide
  TrainConfig base_steered, expert_steered;  // of whole walks from a given first state: to be steered
  ExtractStageConfig reward, discriminator;
  ExtractStageConfig guide;  // reads whole walks at once
  EvaluateConfig evaluate;
  RlConfig rl_true, rl_plain, rl_shaped;  // PPO on the true reward, on plain rho, on its growth
  SteerConfig steer;
};

/// The job's configs; every stage in its own folder below `config.run.out`.
MazeJob maze_job(const MazeJobConfig& config);

/// Runs all of it and writes report.html; returns the report's figures and each stage's time. Finished stages
/// are reused.
Json run_demo(const MazeJobConfig& config);

/// Swaps the job's models for Diffuser's Temporal U-Net on 64 consecutive steps, in folders of their own.
void use_temporal_unet(MazeJob& job, bool tiny);

}  // namespace diffreward::cli
