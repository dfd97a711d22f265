// The one list of subcommands.
#include "cli/board.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/image.h"
#include "cli/inspect.h"
#include "cli/results.h"
#include "cli/run.h"
#include "cli/sd.h"
#include "cli/shard.h"
#include "cli/stages.h"
#include "cli/sweep.h"

namespace diffreward::cli {

Command catalog_command();

namespace {

/// A command that takes a field by position too.
Command placed(Command command, const char* field) {
  command.positionals = {field};
  return command;
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> list = {
      make_command<EnvsConfig, run_envs>("envs", "list environments, or describe and draw one", "", {"env"},
                                         {}, print_envs),
      catalog_command(),
      make_stage_command<GenerateConfig, run_generate>(
          "generate", "let an agent act and record it as base or expert data",
          "Without options that say which task is wanted (--env-option goal_cell=1,1) goals are random: base "
          "data. With them every episode does that task: expert data. --policy takes a saved agent, too.\n"
          "--env EmojiScenes-64 draws pictures with captions instead, of which --scenes... tells.",
          {"out"}, generate_section),
      make_command<ShardPlanConfig, run_shard_plan>(
          "shard plan", "divide a recording of generate into shards for many machines",
          "diffreward shard plan --env Hopper-v4 --policy random --steps 1000000000 --count 100000 --out "
          "plan\n"
          "Options are generate's; the plan is one file, and names no machine.",
          {}, {"out"}, print_result),
      make_command<ShardRunConfig, run_shard_run>(
          "shard run", "make shards of a plan: any of them, by anyone, in any order",
          "diffreward shard run plan --index 0-9\n"
          "diffreward shard run plan --task $SLURM_ARRAY_TASK_ID --tasks 1000\n"
          "Those that are there are kept, damaged ones made again; killed runs are run again.",
          {"plan"}, {"plan"}, print_result),
      make_command<ShardStatusConfig, run_shard_status>("shard status", "which shards of a plan are there",
                                                        "", {"plan"}, {"plan"}, print_result),
      make_command<ShardVerifyConfig, run_shard_verify>(
          "shard verify", "compare all bytes with the records; name what is missing or damaged",
          "The exit code is 1 where anything is.", {"plan"}, {"plan"}, print_result,
          exit_code_of_shard_verify),
      make_command<ShardMergeConfig, run_shard_merge>(
          "shard merge", "all shards as one data set, with the bytes of one run of generate",
          "diffreward shard merge plan --out data\n"
          "A plan's folder is a data set without it: --data plan.",
          {"plan"}, {"plan", "out"}, print_result),
      make_stage_command<JoinConfig, run_join>(
          "join", "several data sets as one, or a part of them",
          "diffreward join --data medium,expert --out medium_expert\n"
          "diffreward join --data replay --part held_out --out replay_test",
          {"data", "out"}, generate_section),
      make_command<DataConfig, run_data>(
          "data", "info, check or convert a data set",
          "usage: diffreward data info|card|check|convert|picture PATH [--out ...]", {"action", "path"},
          {"path"}, print_data, exit_code_of_data),
      make_stage_command<TrainConfig, run_train>("train", "train a diffusion model on a data set",
                                                 "A run that was stopped resumes from its last checkpoint.",
                                                 {"data", "out"}, train_section),
      make_stage_command<ExtractStageConfig, run_extract>(
          "extract", "extract the relative reward of two models",
          "--method trains a baseline instead: diffreward catalog rewards.",
          {"base", "expert_data", "base_data", "out"}, extract_section),
      make_stage_command<EvaluateConfig, run_evaluate>("evaluate", "say what rewards mean, side by side", "",
                                                       {"rewards", "expert_data", "base_data", "out"},
                                                       evaluate_section),
      make_stage_command<RlConfig, run_rl>("rl", "train an agent on an extracted or on the true reward", "",
                                           {"out"}, rl_section),
      make_stage_command<SteerConfig, run_steer>(
          "steer", "sample the base model with a reward as guide", "",
          {"base", "expert", "reward", "expert_data", "base_data", "out"}, steer_section),
      make_stage_command<PlanConfig, run_plan>("plan", "let a diffusion model act in an environment",
                                               "With --rewards its plans are led by these.", {"model", "out"},
                                               plan_section),
      make_stage_command<FilmConfig, run_film>("film", "recordings of robots, next to each other, as a film",
                                               "diffreward film --data base,steered,expert --out film",
                                               {"data", "out"}, film_section),
      make_command<SdInfoConfig, run_sd_info>("sd info", "what a folder of Stable Diffusion holds and lacks",
                                              "", {"model"}, {"model"}, print_sd_info, exit_code_of_sd_info),
      make_stage_command<SdTrainConfig, run_sd_train>(
          "sd train", "train a small Stable Diffusion pipeline on captioned pictures",
          "diffreward sd train --images scenes --out pictures_model\n"
          "A run that was stopped resumes from its last checkpoint.",
          {"images", "out"}, sd_train_section),
      make_stage_command<SdExtractConfig, run_sd_extract>(
          "sd extract", "extract the relative reward of Safe Latent Diffusion over Stable Diffusion",
          "diffreward sd extract --model FOLDER --prompts i2p.csv --preset max --out reward\n"
          "What it will cost is told first; chains that are done are kept by the run that resumes.",
          {"out"}, extract_section),
      make_stage_command<SdSampleConfig, run_sd_sample>(
          "sd sample", "pictures and latents of prompts, by Stable Diffusion 1.x",
          "diffreward sd sample --model FOLDER --prompts \"a castle\" --safety max --out pictures\n"
          "A run that was stopped goes on behind its last picture.",
          {"model", "prompts", "out"}, sd_section),
      placed(make_stage_command<SdEncodeConfig, run_sd_encode>(
                 "sd encode", "latents of pictures",
                 "diffreward sd encode a.png b.png --model FOLDER --out latents", {"model", "images", "out"},
                 sd_section),
             "images"),
      placed(make_stage_command<SdDecodeConfig, run_sd_decode>(
                 "sd decode", "pictures of latents",
                 "diffreward sd decode latents --model FOLDER --out pictures", {"model", "latents", "out"},
                 sd_section),
             "latents"),
      make_command<ImageScoreConfig, run_image_score>(
          "image score", "what a reward of latents pays for pictures, and which it flags",
          "diffreward image score pictures/ --reward reward --model FOLDER", {"images"},
          {"images", "reward", "model"}, print_image_scores, exit_code_of_image_scores),
      make_command<ImageScoreConfig, run_image_rank>("image rank", "the same, what is paid least first", "",
                                                     {"images"}, {"images", "reward", "model"},
                                                     print_image_scores, exit_code_of_image_scores),
      make_command<ImageDetectConfig, run_image_detect>(
          "image detect", "what a detector of objects finds in pictures, as labels for image report",
          "diffreward image detect pictures/ --detector nudenet.onnx --table labels.csv\n"
          "tools/detector_weights.py writes such a file.",
          {"images"}, {"images", "detector"}, print_image_detections, exit_code_of_image_scores),
      placed(
          make_stage_command<ImageReportConfig, run_image_report>(
              "image report", "sheets of pictures by reward and, with labels, how well it tells them apart",
              "diffreward image report pictures/ --reward reward --model FOLDER --labels labels.csv --out "
              "report",
              {"images", "reward", "model", "out"}, image_section),
          "images"),
      make_stage_command<ImageJudgeConfig, run_image_judge>("image judge",
                                                            "fit an independent judge of what is on pictures",
                                                            "", {"weights", "scenes", "out"}, image_section),
      make_stage_command<ImageEvaluateConfig, run_image_evaluate>(
          "image evaluate", "whether rewards rank pictures by a concept: scenes, samples, nulls", "",
          {"model", "rewards", "concepts", "out"}, image_section),
      make_command<BoardInitConfig, run_board_init>("board init", "make a board, a leaderboard in one file",
                                                    "diffreward board init lab.sqlite", {"board"}, {},
                                                    print_result),
      make_command<BoardTasksConfig, run_board_tasks>("board tasks", "a board's tasks, or another one", "",
                                                      {"board"}, {}, print_board_tasks),
      make_command<BoardSubmitConfig, run_board_submit>(
          "board submit",
          "score a trained agent, planner or reward on a board's tasks, and keep every episode",
          "diffreward board submit results/agent\n"
          "diffreward board submit Hopper-v4/expert --name expert\n"
          "What the board has already is not scored again.",
          {"from"}, {"from"}, print_result),
      make_command<BoardListConfig, run_board_list>("board list",
                                                    "who stands where, with intervals and rank ranges", "",
                                                    {"board"}, {}, print_board_list),
      make_command<BoardCompareConfig, run_board_compare>(
          "board compare", "whether two rows differ, by how much, and how many more runs would tell",
          "diffreward board compare PPO SAC", {"first", "second"}, {"first", "second"}, print_board_compare),
      make_command<BoardShowConfig, run_board_show>("board show", "everything about one row", "", {"row"},
                                                    {"row"}, print_board_show),
      make_command<BoardVerifyConfig, run_board_verify>(
          "board verify", "run a row again and compare it episode by episode",
          "Equal bits are demanded on a machine that computes the same; on another the paired difference is "
          "told, and "
          "the row is not verified.",
          {"row"}, {"row"}, print_board_verify, exit_code_of_board_verify),
      make_command<BoardExportConfig, run_board_export>(
          "board export", "a board as a web page, JSON, CSV, Markdown or a model card",
          "diffreward board export --page --out board.html", {"board"}, {}, print_board_export),
      make_command<BoardImportConfig, run_board_import>(
          "board import", "another board, score matrices, curves or a model card",
          "diffreward board import scores.json --suite atari", {"from"}, {"from"}, print_result),
      make_command<BoardRetractConfig, run_board_retract>(
          "board retract", "take a row back; it stays, with the reason",
          "diffreward board retract PPO --reason \"trained on the test streams\"", {"row"}, {"row", "reason"},
          print_result),
      make_command<BoardCheckConfig, run_board_check>("board check", "walk the board's chain of hashes", "",
                                                      {"board"}, {}, print_board_check,
                                                      exit_code_of_board_check),
      make_command<BoardGcConfig, run_board_gc>("board gc", "give back the space of files that no row needs",
                                                "", {"board"}, {}, print_result),
      make_command<BoardKeysConfig, run_board_keys>(
          "board keys", "who may submit over a network: keys, a new one, or one less",
          "diffreward board keys --add anna > anna.key\n"
          "The board keeps the hash of a key alone: it is shown once.",
          {"board"}, {}, print_board_keys),
      make_command<BoardServeConfig, run_board_serve>(
          "board serve", "the board as a web page and JSON, with submissions by key",
          "diffreward board serve lab.sqlite --port 8080\n"
          "Ctrl-C ends it once open requests are answered.",
          {"board"}, {}, print_result),
      make_command<RunJobConfig, run_job>(
          "run", "the steps of a job, in order, with a report",
          "Finished steps are reused; a job that was stopped resumes. Without a job the built-in ones are "
          "listed.",
          {"job"}, {}, print_job),
      make_command<SweepPlanConfig, run_sweep_plan>(
          "sweep plan", "a job at many settings and seeds, an index each, for many machines",
          "diffreward sweep plan maze2d-umaze --over seed=0..4 --over reward.lr=1e-4,3e-4 --out sweep",
          {"job"}, {"job", "out"}, print_result),
      make_command<SweepRunConfig, run_sweep_run>(
          "sweep run", "make indices of a sweep: any of them, by anyone, in any order",
          "diffreward sweep run sweep\n"
          "diffreward sweep run sweep --task $SLURM_ARRAY_TASK_ID --tasks 100\n"
          "Stages that several indices need are made once. The exit code is 1 where an index failed; the "
          "others are "
          "made, and running again tries those that failed again.",
          {"sweep"}, {"sweep"}, print_result, exit_code_of_sweep_run),
      make_command<SweepStatusConfig, run_sweep_status>(
          "sweep status", "which indices of a sweep are there, and why others failed", "", {"sweep"},
          {"sweep"}, print_result),
      make_command<SweepCollectConfig, run_sweep_collect>(
          "sweep collect", "one table of a sweep: a row a setting, means and intervals over seeds", "",
          {"sweep"}, {"sweep"}, print_sweep_collect),
      make_command<ReportConfig, run_report>("report", "write the HTML report of a job's folder again", "",
                                             {"results"}, {"results"}, print_result),
      make_command<ResultsConfig, run_results>("results", "make tables from a results file", "", {"file"},
                                               {"file"}, print_result),
      make_command<CompletionConfig, run_completion>("completion", "print a shell's completion script",
                                                     "bash: source <(diffreward completion bash)", {"shell"},
                                                     {}, print_completion),
  };
  return list;
}

}  // namespace diffreward::cli
