// The README's figures on Maze2D: runs the main job over mazes, goals and seeds, and writes
// benchmarks/results/maze2d.json and the tables made from it. Finished stages are reused, so it can be
// stopped and started again.
//
//   maze2d_results [--only heatmap|ppo|steer|unet|plan|none] [--goals chosen|unseen|all] [--seeds 0,1,2,3,4]
//                  [--out results/maze2d] [--readme README.md] [--list docs/results.md]
//
// What varies independently from run to run is the seed: goals of one maze and one seed share the base data
// and the base model. Values are averaged over the goals of a seed first, intervals are Student's over seeds.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>

#include "cli/command.h"
#include "cli/maze_job.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "core/provenance.h"
#include "core/statistics.h"
#include "envs/maze2d/maze2d.h"
#include "leaderboard/results.h"

namespace diffreward::cli {
namespace {

struct ResultsConfig {
  std::string only;           // one group of figures; empty: all
  std::string goals = "all";  // chosen, unseen or all
  std::vector<std::int64_t> seeds = {0, 1, 2, 3, 4};
  std::string out = "results/maze2d";  // working folder
  std::string file = "benchmarks/results/maze2d.json";
  std::string readme;  // README whose table is replaced; empty: none
  std::string list;    // page whose list of all results is replaced; empty: none
  std::string mazes;   // a comma-separated subset for heatmap and ppo; empty: all
  int threads = 0;     // 0: one per core; with 1, seeds can be shared out to several processes
  bool tiny = false;

  bool takes(const std::string& maze) const { return mazes.empty() || mazes.find(maze) != std::string::npos; }

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("only", self.only, "one group of figures; empty for all, none to write the tables alone",
          Choices{"", "heatmap", "ppo", "steer", "unet", "plan", "none"});
    field("goals", self.goals, "goals that settings were chosen on, goals nothing was chosen on, or all",
          Choices{"chosen", "unseen", "all"});
    field("seeds", self.seeds, "seeds of everything; unseen goals take the first three", Bounds{0, 1e9});
    field("out", self.out, "working folder");
    field("file", self.file, "results file to update");
    field("readme", self.readme, "README whose table is replaced");
    field("list", self.list, "page whose list of all results is replaced");
    field("mazes", self.mazes, "a comma-separated subset of mazes for heatmap and ppo");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
    field("tiny", self.tiny, "tiny settings: proves the wiring, not the method");
  }
};

/// Goals whose figures stand together.
struct GoalSet {
  const char* option;  // of --goals
  const char* group;   // of the results
  std::vector<std::pair<std::string, std::vector<std::vector<int>>>> goals;
  std::size_t most_seeds;
};
/// Settings were chosen on some of these (docs/recipe.md).
const GoalSet kChosen = {
    "chosen",
    "",
    {{"umaze", {{1, 1}, {3, 1}, {2, 3}}}, {"medium", {{6, 6}, {1, 1}, {1, 6}}}, {"large", {{7, 10}, {1, 1}}}},
    SIZE_MAX};
/// Fixed before they were run: the free cells with the longest way to the nearest of the goals above, of
/// equal ones the farthest from the first.
const GoalSet kUnseen = {"unseen",
                         "goals nothing was chosen on",
                         {{"umaze", {{3, 2}}}, {"medium", {{6, 2}}}, {"large", {{5, 4}}}},
                         3};

// Questions that the README's tables show.
const std::string kPeaksWithin = "goals whose heatmap peak lies within 0.5 cells, of 8",
                  kPeak = "heatmap peak to goal", kSpearman = "Spearman of heatmap and -(shortest path)",
                  kAuroc = "AUROC expert against base, held out",
                  kPlain = "PPO on plain rho / on the true reward, true return",
                  kShaped = "PPO on rho, shaped / on the true reward, true return",
                  kOfExpert = "steering success / the expert model's",
                  kOfUnguided = "steering success / unguided",
                  kStep = "largest step of guided samples / of the data, 99 % quantiles",
                  kFree = "points of guided samples in free space",
                  kUnetPeak = "Temporal U-Net, 64 consecutive steps: heatmap peak to goal",
                  kUnetSpearman = "Temporal U-Net, 64 consecutive steps: Spearman",
                  kAtGoal = "planning, time at the goal of 200 steps: ", kAll = "DDPM in all denoising steps",
                  kQuarter = "DDIM in a quarter of the denoising steps",
                  kWarm = "DDIM in a quarter of the denoising steps, started warm", kMinusAll = ", minus all",
                  kDiscriminator = ", discriminator";

/// The README's tables.
std::string tables(const std::vector<Result>& results) {
  const std::vector<std::string> mazes = {"umaze", "medium", "large"};
  const std::string chosen = compact_table(
      results, {{kPeaksWithin, kPeak, kPeak + kDiscriminator, kSpearman, kAuroc, kAuroc + kDiscriminator,
                 kPlain, kShaped, kOfExpert, kOfUnguided, kStep, kFree, kUnetPeak, kUnetSpearman,
                 kAtGoal + kQuarter + kMinusAll, kAtGoal + kWarm + kMinusAll},
                mazes,
                kChosen.group});
  const std::string unseen = compact_table(
      results, {{kPeak, kSpearman, kAuroc, kPlain, kShaped, kOfExpert, kOfUnguided}, mazes, kUnseen.group});
  return chosen + (unseen.empty() ? "" : "\n" + unseen);
}

using Values = std::vector<std::vector<double>>;  // [seeds][goals or episodes]

std::vector<double> means(const Values& values) {
  std::vector<double> out;
  for (const std::vector<double>& of_seed : values) out.push_back(mean(of_seed));
  return out;
}

/// The mean of a over that of b, [seeds] each. Student's interval of the linearised ratio (the delta method),
/// which stands where b is 0 for some seed, too.
Estimate ratio_of_means(const std::vector<double>& a, const std::vector<double>& b) {
  const double below = mean(b), ratio = mean(a) / below;
  std::vector<double> linear;
  for (std::size_t i = 0; i < a.size(); ++i) linear.push_back(ratio + (a[i] - ratio * b[i]) / below);
  return mean_of_runs(linear);
}

/// What values of a quantity can be; intervals are cut to it, which loses no coverage.
struct Range {
  double low = 0, high = std::numeric_limits<double>::infinity();
};
constexpr Range kShare{0, 1}, kCorrelation{-1, 1}, kAny{-std::numeric_limits<double>::infinity()};

/// Collects figures of one set of goals, with what they have in common filled in.
class Figures {
 public:
  Figures(const ResultsConfig& config, const GoalSet& set)
      : seeds_(config.seeds.begin(),
               config.seeds.begin() + std::ptrdiff_t(std::min(config.seeds.size(), set.most_seeds))),
        group_(set.group) {
    options_ = concat(" --goals ", set.option);
    for (std::size_t i = 0; i < seeds_.size(); ++i) options_ += concat(i == 0 ? " --seeds " : ",", seeds_[i]);
    if (!config.mazes.empty()) options_ += " --mazes " + config.mazes;
    if (config.tiny) options_ += " --tiny";
  }

  /// An estimate from `runs`, the value of each seed. `only` prints it again.
  void add(const std::string& only, const std::string& question, const std::string& maze,
           const Estimate& estimate, const std::vector<double>& runs, const std::string& unit,
           const std::string& bar, const std::string& note = {}, const Range& range = {}) {
    Result result{.question = question,
                  .maze = maze,
                  .group = group_,
                  .value = estimate.value,
                  .unit = unit,
                  .bar = bar,
                  .command = "build/release/benchmarks/maze2d_results --only " + only + options_,
                  .commit = program_commit(),
                  .machine = machine_description(),
                  .runs = runs,
                  .seeds = seeds_,
                  .versions = {{"diffreward", DIFFREWARD_VERSION}},
                  .note = note};
    // Equal runs say nothing of how others would differ.
    if (std::isfinite(estimate.low) && estimate.low < estimate.high)
      result.interval = {std::max(estimate.low, range.low), std::min(estimate.high, range.high)};
    results.push_back(result);
  }

  /// The mean over seeds.
  void add_mean(const std::string& only, const std::string& question, const std::string& maze,
                const std::vector<double>& runs, const std::string& unit, const std::string& bar,
                const std::string& note = {}, const Range& range = {}) {
    add(only, question, maze, mean_of_runs(runs), runs, unit, bar, note, range);
  }

  const std::vector<std::uint64_t>& seeds() const { return seeds_; }

  std::vector<Result> results;

 private:
  std::vector<std::uint64_t> seeds_;
  std::string group_, options_;
};

MazeJob job_of(const ResultsConfig& config, const std::string& maze, const std::vector<int>& goal,
               std::uint64_t seed) {
  MazeJobConfig job;
  job.maze = maze;
  job.goal_cell = goal;
  job.seed = seed;
  job.tiny = config.tiny;
  job.shared = concat(config.out, "/", maze, "/seed", seed);
  job.run.threads = config.threads;
  job.run.out = concat(job.shared, "/goal_", goal[0], "_", goal[1]);
  return maze_job(job);
}

void make_reward(const MazeJob& job) {
  run_generate(job.base_data);
  run_generate(job.expert_data);
  run_train(job.base);
  run_train(job.expert);
  run_extract(job.reward);
}

/// Peaks, rank correlations and AUROC.
void heatmaps(const ResultsConfig& config, const GoalSet& set, Figures& figures) {
  const std::size_t n = figures.seeds().size();
  std::vector<double> within(n);
  std::string beyond;
  for (const auto& [maze, goals] : set.goals) {
    if (!config.takes(maze)) continue;
    Values peak(n), correlation(n), separation(n), discriminator_peak(n), discriminator(n);
    for (std::size_t i = 0; i < n; ++i) {
      for (const std::vector<int>& goal : goals) {
        const MazeJob job = job_of(config, maze, goal, figures.seeds()[i]);
        make_reward(job);
        run_extract(job.discriminator);
        run_generate(job.base_test);
        run_generate(job.expert_test);
        const Json found = run_evaluate(job.evaluate);
        const auto auroc = [&](const char* reward) {
          return found.at(reward).at("separation").at("auroc").at("value").get<double>();
        };
        peak[i].push_back(found.at("relative").at("heatmap").at("peak_to_goal"));
        correlation[i].push_back(found.at("relative").at("heatmap").at("rank_correlation"));
        separation[i].push_back(auroc("relative"));
        discriminator_peak[i].push_back(found.at("discriminator").at("heatmap").at("peak_to_goal"));
        discriminator[i].push_back(auroc("discriminator"));
        if (peak[i].back() <= Maze2D::kGoalRadius)
          ++within[i];
        else
          beyond += concat(beyond.empty() ? "beyond: " : ", ", maze, " (", goal[0], ", ", goal[1], ") seed ",
                           figures.seeds()[i], " ", format_number(peak[i].back()));
      }
    }
    figures.add_mean("heatmap", kPeak, maze, means(peak), "cells", "<= 0.5");
    figures.add_mean("heatmap", kPeak + kDiscriminator, maze, means(discriminator_peak), "cells", "");
    figures.add_mean("heatmap", kSpearman, maze, means(correlation), "", ">= 0.85", "", kCorrelation);
    figures.add_mean("heatmap", kAuroc, maze, means(separation), "", ">= 0.85", "", kShare);
    figures.add_mean("heatmap", kAuroc + kDiscriminator, maze, means(discriminator), "", "", "", kShare);
  }
  if (&set == &kChosen && config.mazes.empty())
    figures.add_mean("heatmap", kPeaksWithin, "", within, "", ">= 7", beyond, {0, 8});
}

/// True return of PPO on rho as a share of PPO on the true reward, for the first goal of each maze.
void agents(const ResultsConfig& config, const GoalSet& set, Figures& figures) {
  for (const auto& [maze, goals] : set.goals) {
    if (!config.takes(maze)) continue;
    std::vector<double> plain, shaped, plain_end, shaped_end;  // [seeds]
    for (const std::uint64_t seed : figures.seeds()) {
      const MazeJob job = job_of(config, maze, goals[0], seed);
      make_reward(job);
      const Json truth = run_rl(job.rl_true), on_plain = run_rl(job.rl_plain),
                 on_shaped = run_rl(job.rl_shaped);
      const auto dense = [](const Json& outcome) {
        return outcome.at("dense").at("return").at("value").get<double>();
      };
      plain.push_back(dense(on_plain) / dense(truth));
      shaped.push_back(dense(on_shaped) / dense(truth));
      plain_end.push_back(on_plain.at("dense").at("final_distance").at("50 %"));
      shaped_end.push_back(on_shaped.at("dense").at("final_distance").at("50 %"));
    }
    figures.add_mean("ppo", kPlain, maze, plain, "", maze == "umaze" ? ">= 0.74" : "");
    figures.add_mean("ppo", kShaped, maze, shaped, "", maze == "large" ? ">= 0.8" : ">= 0.9");
    figures.add_mean("ppo", "median final distance to the goal, PPO on plain rho", maze, plain_end, "cells",
                     "");
    figures.add_mean("ppo", "median final distance to the goal, PPO on rho, shaped", maze, shaped_end,
                     "cells", "");
  }
}

/// Samples of the base model, led by the reward, on umaze.
void steering(const ResultsConfig& config, const GoalSet& set, Figures& figures) {
  const auto& [maze, goals] = set.goals[0];
  const std::size_t n = figures.seeds().size();
  Values guided(n), unguided(n), expert(n), step(n), free(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (const std::vector<int>& goal : goals) {
      const MazeJob job = job_of(config, maze, goal, figures.seeds()[i]);
      run_generate(job.base_data);
      run_generate(job.expert_data);
      for (const TrainConfig* train :
           {&job.base_path, &job.expert_path, &job.base_steered, &job.expert_steered})
        run_train(*train);
      run_extract(job.guide);
      const Json found = run_steer(job.steer);
      guided[i].push_back(found.at("guided").at("success").at("value"));
      unguided[i].push_back(found.at("unguided").at("success").at("value"));
      expert[i].push_back(found.at("expert").at("success").at("value"));
      step[i].push_back(found.at("step_q99_to_data"));
      free[i].push_back(found.at("guided").at("free").at("value"));
    }
  }
  const std::string note = concat("guided ", format_estimate(mean_of_runs(means(guided))), ", unguided ",
                                  format_estimate(mean_of_runs(means(unguided))), ", expert ",
                                  format_estimate(mean_of_runs(means(expert))), "; ratio of the means");
  const auto add_ratio = [&](const std::string& question, const Values& below, const std::string& bar) {
    const std::vector<double> a = means(guided), b = means(below);
    if (mean(b) == 0) return;  // nothing to compare with
    std::vector<double> each;
    for (std::size_t i = 0; i < n; ++i) each.push_back(a[i] / b[i]);
    const bool all = std::find(b.begin(), b.end(), 0.0) == b.end();
    figures.add("steer", question, maze, ratio_of_means(a, b), all ? each : std::vector<double>(), "", bar,
                note);
  };
  add_ratio(kOfExpert, expert, ">= 0.9");
  add_ratio(kOfUnguided, unguided, ">= 3");
  figures.add_mean("steer", kStep, maze, means(step), "", "<= 1.2");
  figures.add_mean("steer", kFree, maze, means(free), "", ">= 0.95", "", kShare);
}

/// The paper's kind of model: the Temporal U-Net on consecutive steps.
void unet(const ResultsConfig& config, const GoalSet& set, Figures& figures) {
  const auto& [maze, goals] = set.goals[0];
  std::vector<double> peak, correlation;  // [seeds]
  for (const std::uint64_t seed : figures.seeds()) {
    MazeJob job = job_of(config, maze, goals[0], seed);
    use_temporal_unet(job, config.tiny);
    make_reward(job);
    run_generate(job.base_test);
    run_generate(job.expert_test);
    const Json found = run_evaluate(job.evaluate).at("relative").at("heatmap");
    peak.push_back(found.at("peak_to_goal"));
    correlation.push_back(found.at("rank_correlation"));
  }
  figures.add_mean("unet", kUnetPeak, maze, peak, "cells", "<= 1");
  figures.add_mean("unet", kUnetSpearman, maze, correlation, "", "", "", kCorrelation);
}

/// A Temporal U-Net of the expert's walks acts: by all denoising steps, by a quarter of them, and by those of
/// a quarter that are left when a plan starts from the one before. Episodes of a seed have equal starts:
/// differences are paired.
void plans(const ResultsConfig& config, const GoalSet& set, Figures& figures) {
  struct Way {
    std::string name, folder, sampler;
    int steps, warm_level;
  };
  constexpr int kTimesteps = 20;
  const std::vector<Way> ways = {{kAll, "plan_all", "ddpm", 0, -1},
                                 {kQuarter, "plan_quarter", "ddim", kTimesteps / 4, -1},
                                 {kWarm, "plan_warm", "ddim", kTimesteps / 4, kTimesteps / 2}};
  const auto& [maze, goals] = set.goals[0];
  const std::size_t n = figures.seeds().size();
  const int episodes = config.tiny ? 4 : 256, side_by_side = config.tiny ? 4 : 64;
  std::vector<Values> success(ways.size(), Values(n)), at_goal = success;  // [ways][seeds][episodes]
  for (std::size_t s = 0; s < n; ++s) {
    const MazeJob job = job_of(config, maze, goals[0], figures.seeds()[s]);
    run_generate(job.expert_data);
    TrainConfig model = job.expert_steered;
    model.start.clear();
    model.model = {.horizon = 32, .stride = 4, .timesteps = kTimesteps, .net = "unet", .dim = 32};
    model.train.batch = 64;
    model.train.lr = 3e-4;
    model.train.steps = config.tiny ? 20 : 4000;
    model.run.out = std::filesystem::path(job.expert_data.run.out).replace_filename("planner_model");
    model.run.threads = config.threads;
    run_train(model);
    for (std::size_t i = 0; i < ways.size(); ++i) {
      PlanConfig plan;
      plan.model = model.run.out;
      plan.env = job.env;
      plan.goal_cell = job.goal_cell;
      plan.episodes = episodes;
      plan.count = side_by_side;
      plan.episode_steps = config.tiny ? 16 : 200;
      plan.planner = {.replan_every = 8, .warm_level = ways[i].warm_level, .follow = "states"};
      plan.sample = {.sampler = ways[i].sampler, .steps = ways[i].steps, .seed = figures.seeds()[s]};
      plan.run = model.run;
      plan.run.out = std::filesystem::path(model.run.out).replace_filename(ways[i].folder);
      const Json found = run_plan(plan);
      for (const double distance : found.at("episodes").at("final_distance"))
        success[i][s].push_back(distance <= Maze2D::kGoalRadius);
      for (const double steps : found.at("episodes").at("return")) at_goal[i][s].push_back(steps);
    }
  }
  const auto report = [&](const std::string& question, const std::string& unit,
                          const std::vector<Values>& values) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      figures.add_mean("plan", question + ways[i].name, maze, means(values[i]), unit, "",
                       concat(episodes, " episodes a seed"));
      if (i == 0) continue;
      Values difference = values[i];
      for (std::size_t s = 0; s < n; ++s)
        for (std::size_t k = 0; k < difference[s].size(); ++k) difference[s][k] -= values[0][s][k];
      figures.add_mean("plan", question + ways[i].name + kMinusAll, maze, means(difference), unit, "",
                       concat(episodes, " paired episodes a seed"), kAny);
    }
  };
  report("planning, episodes that end at the goal: ", "", success);
  report(kAtGoal, "steps", at_goal);
}

Json run_results(const ResultsConfig& config) {
  require(!config.seeds.empty(), "seeds: expected at least one, got none");
  require(config.goals != "unseen" || (config.only != "unet" && config.only != "plan"),
          "goals: expected chosen for ", config.only, ", which has no unseen ones");
  const auto wanted = [&](const char* figures) { return config.only.empty() || config.only == figures; };
  std::vector<Result> fresh;
  for (const GoalSet* set : {&kChosen, &kUnseen}) {
    if (config.goals != "all" && config.goals != set->option) continue;
    Figures figures(config, *set);
    if (wanted("heatmap")) heatmaps(config, *set, figures);
    if (wanted("ppo")) agents(config, *set, figures);
    if (wanted("steer")) steering(config, *set, figures);
    if (wanted("unet") && set == &kChosen) unet(config, *set, figures);
    if (wanted("plan") && set == &kChosen) plans(config, *set, figures);
    fresh.insert(fresh.end(), figures.results.begin(), figures.results.end());
  }
  // What a command's earlier run found and this one did not is no figure of it any more.
  std::vector<Result> kept = load_results(config.file);
  const auto command_of = [](const Result& result) {  // without its seeds
    return result.command.substr(0, result.command.find(" --seeds"));
  };
  std::erase_if(kept, [&](const Result& old) {
    return std::any_of(fresh.begin(), fresh.end(),
                       [&](const Result& result) { return command_of(result) == command_of(old); });
  });
  const std::vector<Result> all = merge_results(kept, fresh);
  save_results(config.file, all);
  const auto put = [](const std::string& page, const std::string& table) {
    if (!page.empty()) write_file(page, replace_table(read_file(page), table));
  };
  put(config.readme, tables(all));
  put(config.list, results_table(load_results(config.file)));  // sorted
  Json shown = Json::array();
  for (const Result& result : fresh) shown.push_back(result.json());
  return {{"results", shown}};
}

void print_results(const Json& results, std::ostream& out) {
  for (const Json& entry : results.at("results")) {
    const Result result = Result::from_json(entry);
    const auto reached = passes(result.value, result.bar);
    out << result.name() << ": " << format_estimate(result.estimate()) << " " << result.unit;
    if (reached)
      out << concat("  (", result.bar, *reached ? ", reached" : ", MISSED",
                    undecided(result) ? ", undecided)" : ")");
    out << "  " << result.note << "\n";
  }
}

}  // namespace
}  // namespace diffreward::cli

int main(int argc, char** argv) {
  using namespace diffreward::cli;
  diffreward::catch_interrupts();
  const Command command = make_command<ResultsConfig, run_results>(
      "maze2d_results", "measure the README's figures", "", {}, {}, print_results);
  return run_command(command, std::vector<std::string>(argv + 1, argv + argc), std::cout, std::cerr);
}
