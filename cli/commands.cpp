// The one list of subcommands.
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/maze_job.h"
#include "cli/report.h"
#include "cli/stages.h"

namespace diffreward::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> list = {
      make_command<EnvsConfig, run_envs>("envs", "list environments, or describe and draw one", "", {"env"},
                                         {}, print_envs),
      make_command<GenerateConfig, run_generate>("generate", "record base or expert data with a controller",
                                                 "Without --goal-cell the goals are random (base data); with "
                                                 "it every episode walks there (expert data).",
                                                 {}, {"out"}, print_result),
      make_command<DataConfig, run_data>("data", "info, check or convert a data set",
                                         "usage: diffreward data info|check|convert PATH [--out ...]",
                                         {"action", "path"}, {"path"}, print_data, exit_code_of_data),
      make_command<TrainConfig, run_train>("train", "train a diffusion model on a data set",
                                           "A run that was stopped resumes from its last checkpoint.", {},
                                           {"data", "out"}, print_result),
      make_command<ExtractStageConfig, run_extract>("extract", "extract the relative reward of two models",
                                                    "--method discriminator trains the baseline instead.", {},
                                                    {"expert", "base", "expert_data", "base_data", "out"},
                                                    print_result),
      make_command<EvaluateConfig, run_evaluate>("evaluate", "say what a reward means on a maze", "", {},
                                                 {"reward", "expert_data", "base_data", "out"}, print_result),
      make_command<RlConfig, run_rl>("rl", "train PPO on an extracted or on the true reward", "", {}, {"out"},
                                     print_result),
      make_command<SteerConfig, run_steer>("steer", "sample the base model with a reward as guide", "", {},
                                           {"base", "expert", "reward", "base_data", "out"}, print_result),
      make_command<PlanConfig, run_plan>("plan", "let a diffusion model act in an environment",
                                         "With --reward its plans are led by that reward.", {},
                                         {"model", "out"}, print_result),
      make_command<ReportConfig, run_report>("report", "write the HTML report of a results folder", "",
                                             {"results"}, {"results"}, print_result),
      make_command<MazeJobConfig, run_demo>("demo", "the main job on one maze, with a report",
                                            "Finished stages are reused; a run that was stopped resumes.", {},
                                            {"out"}, print_result),
  };
  return list;
}

}  // namespace diffreward::cli
