// The README's figures on Maze2D: runs the main job over mazes, goals and seeds, and writes
// benchmarks/results/maze2d.json. Finished stages are reused, so it can be stopped and started again.
//
//   maze2d_results [--readme README.md] [--only heatmap|ppo|steer|unet|plan] [--seeds 0,1,2] [--out
//   results/maze2d]
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <numeric>

#include "cli/command.h"
#include "cli/maze_job.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "core/statistics.h"
#include "envs/maze2d/maze2d.h"
#include "leaderboard/results.h"

namespace diffreward::cli {
namespace {

struct ResultsConfig {
  std::string only;  // one group of figures; empty: all
  std::vector<std::int64_t> seeds = {0, 1, 2};
  std::string out = "results/maze2d";  // working folder
  std::string file = "benchmarks/results/maze2d.json";
  std::string readme;  // README whose table is replaced; empty: none
  std::string mazes;   // a comma-separated subset for ppo; empty: all
  bool tiny = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("only", self.only, "one group of figures; empty for all, none to write the table alone",
          Choices{"", "heatmap", "ppo", "steer", "unet", "plan", "none"});
    field("seeds", self.seeds, "seeds of everything", Bounds{0, 1e9});
    field("out", self.out, "working folder");
    field("file", self.file, "results file to update");
    field("readme", self.readme, "README whose table is replaced");
    field("mazes", self.mazes, "a comma-separated subset of mazes for ppo");
    field("tiny", self.tiny, "tiny settings: proves the wiring, not the method");
  }
};

const std::vector<std::pair<std::string, std::vector<std::vector<int>>>> kGoals = {
    {"umaze", {{1, 1}, {3, 1}, {2, 3}}}, {"medium", {{6, 6}, {1, 1}, {1, 6}}}, {"large", {{7, 10}, {1, 1}}}};

/// Collects figures, with what they have in common filled in.
class Figures {
 public:
  explicit Figures(const ResultsConfig& config)
      : seeds_(config.seeds.begin(), config.seeds.end()),
        commit_(source_commit()),
        machine_(machine_description()) {
    for (const std::uint64_t seed : seeds_) options_ += concat(options_.empty() ? " --seeds " : ",", seed);
    if (!config.mazes.empty()) options_ += " --mazes " + config.mazes;
  }

  void add(const std::string& group, const std::string& name, double value, const std::string& unit,
           const std::string& bar, const std::string& note = {}) {
    Result result{
        name,    value,   unit, bar, "build/release/benchmarks/maze2d_results --only " + group + options_,
        commit_, machine_};
    result.seeds = seeds_;
    result.note = note;
    results.push_back(result);
  }

  /// The mean, with a bootstrap interval over the runs.
  void add_mean(const std::string& group, const std::string& name, const std::vector<double>& values,
                const std::string& unit, const std::string& bar) {
    std::string each = "each:";
    for (const double value : values) each += " " + format_number(value);
    add(group, name, mean(values), unit, bar, each);
    const Estimate interval = bootstrap_mean({values, {}}, {});
    results.back().interval = {interval.low, interval.high};
  }

  std::vector<Result> results;

 private:
  std::vector<std::uint64_t> seeds_;
  std::string options_, commit_, machine_;
};

MazeJob job_of(const ResultsConfig& config, const std::string& maze, const std::vector<int>& goal,
               std::int64_t seed) {
  MazeJobConfig job;
  job.maze = maze;
  job.goal_cell = goal;
  job.seed = static_cast<std::uint64_t>(seed);
  job.tiny = config.tiny;
  job.shared = concat(config.out, "/", maze, "/seed", seed);
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

/// Peaks, rank correlations and AUROC of 8 goals, seed by seed.
void heatmaps(const ResultsConfig& config, Figures& figures) {
  std::vector<double> within;
  std::string peaks;
  for (const std::int64_t seed : config.seeds) {
    double hits = 0;
    for (const auto& [maze, goals] : kGoals) {
      for (const std::vector<int>& goal : goals) {
        const MazeJob job = job_of(config, maze, goal, seed);
        make_reward(job);
        run_extract(job.discriminator);
        run_generate(job.base_test);
        run_generate(job.expert_test);
        const Json found = run_evaluate(job.evaluate).at("relative");
        const double distance = found.at("heatmap").at("peak_to_goal");
        hits += distance <= 0.5;
        peaks += concat(" ", maze, "(", goal[0], ",", goal[1], ") ", format_number(distance));
      }
    }
    within.push_back(hits);
  }
  figures.add_mean("heatmap", "heatmap peak within 0.5 cells of the goal, of 8 goals", within, "goals",
                   ">= 7");
  figures.results.back().note += ";" + peaks;
  for (const auto& [maze, goals] : kGoals) {
    std::vector<double> correlation, separation, discriminator, discriminator_peak;
    for (const std::int64_t seed : config.seeds) {
      for (const std::vector<int>& goal : goals) {
        const Json found = run_evaluate(job_of(config, maze, goal, seed).evaluate);
        correlation.push_back(found.at("relative").at("heatmap").at("rank_correlation"));
        separation.push_back(found.at("relative").at("separation").at("auroc").at("value"));
        discriminator.push_back(found.at("discriminator").at("separation").at("auroc").at("value"));
        discriminator_peak.push_back(found.at("discriminator").at("heatmap").at("peak_to_goal"));
      }
    }
    figures.add_mean("heatmap", "Spearman of heatmap and -(shortest path), " + maze, correlation, "",
                     ">= 0.85");
    figures.add_mean("heatmap", "AUROC expert against base, held out, " + maze, separation, "", ">= 0.85");
    figures.add_mean("heatmap", "AUROC expert against base, held out, " + maze + ", discriminator",
                     discriminator, "", "");
    figures.add_mean("heatmap", "heatmap peak to goal, " + maze + ", discriminator", discriminator_peak,
                     "cells", "");
  }
}

/// True return of PPO on rho as a share of PPO on the true reward.
void agents(const ResultsConfig& config, Figures& figures) {
  for (const auto& [maze, goals] : kGoals) {
    if (!config.mazes.empty() && config.mazes.find(maze) == std::string::npos) continue;
    std::vector<double> plain, best, plain_end, best_end;
    for (const std::int64_t seed : config.seeds) {
      const MazeJob job = job_of(config, maze, goals[0], seed);
      make_reward(job);
      const Json truth = run_rl(job.rl_true), on_plain = run_rl(job.rl_plain), on_best = run_rl(job.rl_best);
      const auto dense = [](const Json& outcome) {
        return outcome.at("dense").at("return").at("value").get<double>();
      };
      plain.push_back(dense(on_plain) / dense(truth));
      best.push_back(dense(on_best) / dense(truth));
      plain_end.push_back(on_plain.at("dense").at("final_distance").at("50 %"));
      best_end.push_back(on_best.at("dense").at("final_distance").at("50 %"));
    }
    figures.add_mean("ppo", "PPO on plain rho / on the true reward, true dense return, " + maze, plain, "",
                     maze == "umaze" ? ">= 0.74" : "");
    figures.add_mean("ppo", "PPO on the best reading of rho / on the true reward, true dense return, " + maze,
                     best, "", maze == "large" ? ">= 0.8" : ">= 0.9");
    figures.add_mean("ppo", "median final distance to the goal, PPO on plain rho, " + maze, plain_end,
                     "cells", "");
    figures.add_mean("ppo", "median final distance to the goal, PPO on the best reading, " + maze, best_end,
                     "cells", "");
  }
}

void steering(const ResultsConfig& config, Figures& figures) {
  double guided = 0, unguided = 0, expert = 0, runs = 0;
  std::vector<double> step, free;
  for (const std::int64_t seed : config.seeds) {
    for (const std::vector<int>& goal : kGoals[0].second) {
      const MazeJob job = job_of(config, "umaze", goal, seed);
      run_generate(job.base_data);
      run_generate(job.expert_data);
      for (const TrainConfig* train :
           {&job.base_path, &job.expert_path, &job.base_steered, &job.expert_steered})
        run_train(*train);
      run_extract(job.guide);
      const Json found = run_steer(job.steer);
      guided += found.at("guided").at("success").at("value").get<double>();
      unguided += found.at("unguided").at("success").at("value").get<double>();
      expert += found.at("expert").at("success").at("value").get<double>();
      step.push_back(found.at("step_q99_to_data"));
      free.push_back(found.at("guided").at("free").at("value"));
      ++runs;
    }
  }
  const std::string note = concat("guided ", format_number(guided / runs), ", unguided ",
                                  format_number(unguided / runs), ", expert ", format_number(expert / runs));
  figures.add("steer", "steering success / the expert model's, umaze", guided / expert, "", ">= 0.9", note);
  figures.add("steer", "steering success / unguided, umaze", guided / unguided, "", ">= 3", note);
  figures.add_mean("steer", "largest step of guided samples / of the data, 99 % quantiles, umaze", step, "",
                   "<= 1.2");
  figures.add_mean("steer", "points of guided samples in free space, umaze", free, "", ">= 0.95");
}

/// The paper's kind of model: the Temporal U-Net on consecutive steps.
void unet(const ResultsConfig& config, Figures& figures) {
  std::vector<double> peak, correlation;
  for (const std::int64_t seed : config.seeds) {
    MazeJob job = job_of(config, "umaze", kGoals[0].second[0], seed);
    use_temporal_unet(job, config.tiny);
    make_reward(job);
    run_generate(job.base_test);
    run_generate(job.expert_test);
    const Json found = run_evaluate(job.evaluate).at("relative").at("heatmap");
    peak.push_back(found.at("peak_to_goal"));
    correlation.push_back(found.at("rank_correlation"));
  }
  figures.add_mean("unet", "Temporal U-Net, 64 consecutive steps: heatmap peak to goal, umaze", peak, "cells",
                   "<= 1");
  figures.add_mean("unet", "Temporal U-Net, 64 consecutive steps: Spearman, umaze", correlation, "", "");
}

/// A Temporal U-Net of the expert's walks acts: by all denoising steps, by a quarter of them, and by those of
/// a quarter that are left when a plan starts from the one before. Episodes have equal starts: differences
/// are paired.
void plans(const ResultsConfig& config, Figures& figures) {
  struct Way {
    std::string name, folder, sampler;
    int steps, warm_level;
  };
  constexpr int kTimesteps = 20;
  const std::vector<Way> ways = {
      {"all steps (DDPM)", "plan_all", "ddpm", 0, -1},
      {"a quarter of the steps (DDIM)", "plan_quarter", "ddim", kTimesteps / 4, -1},
      {"a quarter of the steps, started warm", "plan_warm", "ddim", kTimesteps / 4, kTimesteps / 2}};
  std::vector<std::vector<double>> success(ways.size()), at_goal(ways.size()), times(ways.size());
  for (const std::int64_t seed : config.seeds) {
    const MazeJob job = job_of(config, "umaze", kGoals[0].second[0], seed);
    run_generate(job.expert_data);
    TrainConfig model = job.expert_steered;
    model.start.clear();
    model.model = {.horizon = 32, .stride = 4, .timesteps = kTimesteps, .net = "unet", .dim = 32};
    model.train.batch = 64;
    model.train.lr = 3e-4;
    model.train.steps = config.tiny ? 20 : 4000;
    model.run.out = std::filesystem::path(job.expert_data.run.out).replace_filename("planner_model");
    model.run.threads = 0;
    run_train(model);
    for (std::size_t i = 0; i < ways.size(); ++i) {
      PlanConfig plan;
      plan.model = model.run.out;
      plan.env = job.env;
      plan.goal_cell = job.goal_cell;
      plan.episodes = config.tiny ? 4 : 256;
      plan.count = config.tiny ? 4 : 64;
      plan.episode_steps = config.tiny ? 16 : 200;
      plan.planner = {.replan_every = 8, .warm_level = ways[i].warm_level, .follow = "states"};
      plan.sample = {
          .sampler = ways[i].sampler, .steps = ways[i].steps, .seed = static_cast<std::uint64_t>(seed)};
      plan.run = model.run;
      plan.run.out = std::filesystem::path(model.run.out).replace_filename(ways[i].folder);
      const Json found = run_plan(plan);
      times[i].push_back(found.at("milliseconds_per_plan"));
      for (const double distance : found.at("episodes").at("final_distance"))
        success[i].push_back(distance <= Maze2D::kGoalRadius);
      for (const double steps : found.at("episodes").at("return")) at_goal[i].push_back(steps);
    }
  }
  const auto report = [&](const std::string& what, const std::string& unit,
                          const std::vector<std::vector<double>>& values) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const std::string note =
          concat(format_number(mean(times[i])), " ms a plan, 64 at a time; ", values[i].size(), " episodes");
      figures.add("plan", "planning on umaze: " + what + ", " + ways[i].name, mean(values[i]), unit, "",
                  note);
      if (i == 0) continue;
      std::vector<double> difference;
      for (std::size_t k = 0; k < values[i].size(); ++k) difference.push_back(values[i][k] - values[0][k]);
      const Estimate interval = bootstrap_mean({difference, {}}, {});
      figures.add("plan", "planning on umaze: " + what + ", " + ways[i].name + ", minus all steps",
                  interval.value, unit, "", concat(difference.size(), " paired episodes"));
      figures.results.back().interval = {interval.low, interval.high};
    }
  };
  report("episodes that end at the goal", "", success);
  report("steps at the goal, of 200", "steps", at_goal);
}

Json run_results(const ResultsConfig& config) {
  Figures figures(config);
  const auto wanted = [&](const char* group) { return config.only.empty() || config.only == group; };
  if (wanted("heatmap")) heatmaps(config, figures);
  if (wanted("ppo")) agents(config, figures);
  if (wanted("steer")) steering(config, figures);
  if (wanted("unet")) unet(config, figures);
  if (wanted("plan")) plans(config, figures);
  const std::vector<Result> all = merge_results(load_results(config.file), figures.results);
  save_results(config.file, all);
  if (!config.readme.empty()) write_file(config.readme, replace_table(read_file(config.readme), all));
  Json shown = Json::array();
  for (const Result& result : figures.results) shown.push_back(result.json());
  return {{"results", shown}};
}

void print_results(const Json& results, std::ostream& out) {
  for (const Json& entry : results.at("results")) {
    const Result result = Result::from_json(entry);
    const auto reached = passes(result.value, result.bar);
    out << result.name << ": " << format_number(result.value) << " " << result.unit
        << (reached ? concat("  (", result.bar, *reached ? ", reached)" : ", MISSED)") : std::string())
        << "  " << result.note << "\n";
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
