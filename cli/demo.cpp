// diffreward demo: the main job on one maze, stage by stage, and its report.
#include "cli/maze_job.h"
#include "cli/report.h"

namespace diffreward::cli {

Json run_demo(const MazeJobConfig& config) {
  const MazeJob job = maze_job(config);
  run_generate(job.base_data);
  run_generate(job.expert_data);
  run_generate(job.base_test);
  run_generate(job.expert_test);
  run_train(job.base);
  run_train(job.expert);
  run_train(job.base_path);
  run_train(job.expert_path);
  run_train(job.base_steered);
  run_train(job.expert_steered);
  run_extract(job.reward);
  run_extract(job.discriminator);
  run_evaluate(job.evaluate);
  run_rl(job.rl_true);
  run_rl(job.rl_plain);
  run_rl(job.rl_best);
  run_extract(job.guide);
  run_steer(job.steer);
  return run_report({config.run.out, ""});
}

}  // namespace diffreward::cli
