// diffreward demo: the main job on one maze, stage by stage, and its report.
#include <cmath>
#include <filesystem>

#include "cli/maze_job.h"
#include "cli/report.h"
#include "cli/stage.h"

namespace diffreward::cli {

Json run_demo(const MazeJobConfig& config) {
  const MazeJob job = maze_job(config);
  Json seconds = Json::object();  // of each stage, when it was made
  const auto stage = [&](const auto& run, const auto& settings) {
    run(settings);
    const std::filesystem::path folder = settings.run.out;
    const double value = stage_record(folder).at("seconds");
    seconds[folder.filename().string()] = std::round(10 * value) / 10;
  };
  stage(run_generate, job.base_data);
  stage(run_generate, job.expert_data);
  stage(run_generate, job.base_test);
  stage(run_generate, job.expert_test);
  stage(run_train, job.base);
  stage(run_train, job.expert);
  stage(run_train, job.base_path);
  stage(run_train, job.expert_path);
  stage(run_train, job.base_steered);
  stage(run_train, job.expert_steered);
  stage(run_extract, job.reward);
  stage(run_extract, job.discriminator);
  stage(run_evaluate, job.evaluate);
  stage(run_rl, job.rl_true);
  stage(run_rl, job.rl_plain);
  stage(run_rl, job.rl_shaped);
  stage(run_extract, job.guide);
  stage(run_steer, job.steer);
  Json result = run_report({config.run.out, ""});
  result["seconds"] = seconds;
  return result;
}

}  // namespace diffreward::cli
