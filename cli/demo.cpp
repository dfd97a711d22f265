// diffreward demo: the main job on one maze, stage by stage, and its report.
#include <cmath>
#include <filesystem>

#include "cli/maze_job.h"
#include "cli/report.h"
#include "core/file.h"

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
  Json result = run_report({config.run.out, ""});
  Json& seconds = result["seconds"] = Json::object();  // of each stage, when it was made
  for (const RunConfig* run :
       {&job.base_data.run, &job.expert_data.run, &job.base_test.run, &job.expert_test.run, &job.base.run,
        &job.expert.run, &job.base_path.run, &job.expert_path.run, &job.base_steered.run,
        &job.expert_steered.run, &job.reward.run, &job.discriminator.run, &job.evaluate.run, &job.rl_true.run,
        &job.rl_plain.run, &job.rl_best.run, &job.guide.run, &job.steer.run}) {
    const std::filesystem::path folder = run->out;
    const double value = Json::parse(read_file(folder / "stage.json")).at("seconds");
    seconds[folder.filename().string()] = std::round(10 * value) / 10;
  }
  return result;
}

}  // namespace diffreward::cli
