// diffreward evaluate: what rewards mean, side by side.
#include <algorithm>

#include "agents/device.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "core/statistics.h"
#include "datasets/windows.h"
#include "rewards/catalog.h"
#include "rewards/evaluate/maze_task.h"

namespace diffreward::cli {
namespace {

constexpr const char* kTask = "task";  // stands for the environment's own reward
constexpr int kStripTimesteps[] = {0, 5, 10, 20, 40, 80};
constexpr int kMoments = 5, kStripFrames = 8;  // of a robot, in a row
constexpr std::size_t kPoints = 250;           // of a curve along an episode

/// Names of the rewards in results and pictures: their stages' folders or files, numbered where these repeat.
std::vector<std::string> names_of(const std::vector<std::string>& rewards) {
  std::vector<std::string> names;
  for (const std::string& path : rewards) {
    const std::filesystem::path given = std::filesystem::path(path).lexically_normal();
    const std::filesystem::path last = given.has_filename() ? given : given.parent_path();
    const std::string name = last.filename() == "reward.safetensors" && last.has_parent_path()
                                 ? last.parent_path().filename().string()
                                 : last.stem().string();
    std::string numbered = name;
    for (int i = 2; std::find(names.begin(), names.end(), numbered) != names.end(); ++i)
      numbered = concat(name, "_", i);
    names.push_back(numbered);
  }
  return names;
}

/// One task: a maze and its goal, or another environment; held-out recordings of both sides.
struct Case {
  const EvaluateConfig& config;
  std::filesystem::path folder;  // of the pictures
  std::optional<MazeTask> maze;
  Dataset expert, base;
};

/// Of a robot: the moments that are paid least and most, and the reward along one episode, with pictures.
Json show_robot(const Case& c, const RewardModel& reward, const std::string& name) {
  const RewardEvaluationConfig& config = c.config.evaluation;
  const ScoredWindows base = score_windows(
      reward, c.base, {.every = config.every, .episodes = config.episodes, .seed = config.bootstrap.seed});
  const int side = c.config.width / 2;
  write_png(c.folder / concat(name, "_moments.png"), draw_moments(base, c.base, kMoments, side));
  // The last episode of a replay is of the agent that had learned.
  const std::size_t last = c.base.episodes().size() - 1;
  const std::size_t shown[] = {last};
  write_png(c.folder / concat(name, "_episode.png"),
            draw_filmstrip(c.base, c.base.episodes()[last], kStripFrames, side));
  const Dataset episode = select_episodes(c.base, shown);
  const auto every = std::max<std::size_t>(1, episode.size() / kPoints);
  const ScoredWindows along = score_windows(reward, episode, {.every = static_cast<int>(every)});
  Json rewards = Json::array();
  for (const std::size_t step : along.step) rewards.push_back(double{episode.rewards()[step]});
  return {{"step", along.step}, {"reward", along.reward}, {"task_reward", rewards}};
}

Json judge(const Case& c, const LearnedReward& reward, const std::string& name) {
  std::optional<FunctionReward> support;
  if (reward.relative != nullptr)
    support.emplace(reward.relative->layout(), reward.relative->reads(),
                    [&](auto windows, auto out) { reward.relative->support(windows, out); });
  const RewardEvaluation result = evaluate_reward(*reward.model, c.maze ? &*c.maze : nullptr, c.expert,
                                                  c.base, c.config.evaluation, support ? &*support : nullptr);
  Json json = result.json();
  if (result.robot) json["along"] = show_robot(c, *reward.model, name);
  if (!c.maze) return json;
  const MazeMap& map = c.maze->map;
  const Point goal = c.maze->goal;
  const int height = c.config.width * map.rows() / map.columns();
  const auto write = [&](const char* what, const Image& picture) {
    write_png(c.folder / concat(name, "_", what, ".png"), picture);
  };
  write("heatmap", draw_reward(result.maze->heatmap, map, goal, name, c.config.width, height));
  write("occupancy", draw_occupancy(result.maze->preference, map, goal, c.config.width, height));
  write("regions", draw_regions(result.maze->preference, map, goal, c.config.width, height));
  if (reward.relative == nullptr) return json;
  const RelativeReward& rho = *reward.relative;
  std::vector<int> timesteps;
  for (const int t : kStripTimesteps)
    if (t < rho.timesteps()) timesteps.push_back(t);
  const std::vector<Heatmap> strip = heatmap_strip(
      [&](int t) -> ScoreFn { return [&rho, t](auto windows, auto out) { rho.score_at(t, windows, out); }; },
      rho, timesteps, map, goal, {.per_cell = c.config.evaluation.per_cell});
  write("strip", draw_reward_strip(strip, timesteps, map, goal, height / 2));
  for (std::size_t i = 0; i < strip.size(); ++i) {
    json["over_t"].push_back(strip[i].json());
    json["over_t"].back()["t"] = timesteps[i];
  }
  return json;
}

}  // namespace

StageSpec stage_of(const EvaluateConfig& config) {
  StageSpec stage{
      .command = "evaluate",
      .config = to_json(config),
      .folder = config.run.out,
      .reuse = config.run.reuse,
      .inputs = {{"expert_data", config.expert_data, "data"}, {"base_data", config.base_data, "data"}},
      .products = {}};
  const std::vector<std::string> names = names_of(config.rewards);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (config.rewards[i] != kTask)
      stage.inputs.push_back({"rewards", config.rewards[i], "reward.safetensors", names[i]});
    for (const char* picture : {"heatmap", "occupancy", "regions", "strip", "moments", "episode"})
      stage.products.push_back(concat(names[i], "_", picture, ".png"));
  }
  return stage;
}

Json run_evaluate(const EvaluateConfig& config) {
  require(!config.rewards.empty(), "rewards: expected at least one, got none");
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    set_torch_threads(config.run.threads);
    const Dataset expert = open_data(config.expert_data);
    std::optional<MazeTask> maze;
    if (is_of_maze(expert)) maze = maze_task(expert);
    const Case c{config, folder, maze, expert, open_data(config.base_data)};
    Json result = Json::object();
    if (c.maze) result["goal"] = c.maze->goal;
    const std::vector<std::string> names = names_of(config.rewards);
    for (std::size_t i = 0; i < names.size(); ++i) {
      require(config.rewards[i] != kTask || c.maze.has_value(),
              "rewards: expected a maze for its own reward, ", kTask,
              ", found recordings of another environment");
      const LearnedReward reward =
          config.rewards[i] == kTask
              ? LearnedReward{.model = maze_reward(c.maze->goal, c.maze->dense,
                                                   static_cast<int>(expert.action_dim()))}
              : load_reward(product(config.rewards[i], "reward.safetensors"));
      result["rewards"][names[i]] = judge(c, reward, names[i]);
    }
    return result;
  });
}

namespace {

/// The rewards of a stage, those with a heatmap for each timestep (relative ones) first.
std::vector<std::string> rewards_in(const Json& result) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : result.at("rewards").items()) names.push_back(name);
  std::stable_partition(names.begin(), names.end(), [&](const std::string& name) {
    return result.at("rewards").at(name).contains("over_t");
  });
  return names;
}

void add_comparison(Page& page, const StepRecord& step, const std::vector<std::string>& names) {
  const bool maze = step.result.contains("goal");
  const bool same_task = step.result.at("rewards").at(names[0]).contains("agreement");
  Table table{"Rewards against the task", {"", "AUROC expert against base, held out"}, {}};
  if (same_task) table.header.insert(table.header.end(), {"correlation with the task's reward", "Spearman"});
  if (maze)
    table.header.insert(table.header.end(), {"peak to goal, cells", "Spearman with -(shortest path)",
                                             "EPIC distance to the dense reward", "to the sparse one"});
  std::vector<Picture> heatmaps;
  for (const std::string& name : names) {
    const Json& reward = step.result.at("rewards").at(name);
    std::vector<std::string> row = {readable(name), with_interval(reward.at("separation").at("auroc"))};
    if (same_task)
      for (const char* kind : {"pearson", "spearman"})
        row.push_back(with_interval(reward.at("agreement").at(kind)));
    if (maze) {
      const Json& heatmap = reward.at("heatmap");
      row.insert(row.end(), {number(heatmap.at("peak_to_goal")), number(heatmap.at("rank_correlation")),
                             number(reward.at("epic").at("dense")), number(reward.at("epic").at("sparse"))});
      heatmaps.push_back({step.picture(name + "_heatmap.png"), readable(name),
                          concat("Heatmap of ", readable(name), " over the maze")});
    }
    table.rows.push_back(row);
  }
  page.figures(heatmaps).table(table);
}

/// Values less their mean, over their deviation.
std::vector<double> standardised(const Json& json) {
  auto values = json.get<std::vector<double>>();
  const double middle = mean(values), deviation = standard_deviation(values);
  for (double& value : values) value = deviation > 0 ? (value - middle) / deviation : 0;
  return values;
}

void add_robot(Page& page, const StepRecord& step, const std::string& name) {
  const Json& along = step.result.at("rewards").at(name).at("along");
  const auto steps = along.at("step").get<std::vector<double>>();
  page.figure(step.picture(name + "_moments.png"),
              "Moments of base recordings, each of another episode: paid least above, paid most below")
      .figure(step.picture(name + "_episode.png"),
              "The last episode of the base, from its first step to its last")
      .chart(LineChart{"Along that episode: the reward, and beside it the task's own, both standardised",
                       "step",
                       "deviations from the mean",
                       {{readable(name), steps, standardised(along.at("reward"))},
                        {"task's reward", steps, standardised(along.at("task_reward"))}}});
}

void add_preference(Page& page, const StepRecord& step, const std::string& name) {
  const Json& reward = step.result.at("rewards").at(name);
  const Json& bins = reward.at("separation").at("histogram");
  const double low = bins.at("low"), high = bins.at("high");
  page.chart(HistogramChart{"Mean reward of held-out stretches",
                            readable(name),
                            "expert",
                            "base",
                            {low, high, bins.at("expert").get<std::vector<double>>()},
                            {low, high, bins.at("base").get<std::vector<double>>()}});
  if (!reward.contains("preference")) return;
  page.section("What the expert prefers")
      .text(
          "Behaviour of held-out expert recordings against base recordings: means with 95 % intervals over "
          "episodes, the "
          "difference in pooled standard deviations, and how the reward ranks that behaviour within base "
          "data.");
  Table table{
      "Behaviours", {"", "expert", "base", "difference", "effect size", "reward's rank correlation"}, {}};
  for (const Json& b : reward.at("preference").at("behaviours")) {
    const std::string unit = b.at("unit").get<std::string>();
    table.rows.push_back({readable(b.at("name")) + (unit.empty() ? "" : ", " + unit),
                          number(b.at("expert").at("value")), number(b.at("base").at("value")),
                          with_interval(b.at("difference")), number(b.at("effect_size")),
                          number(b.at("reward_correlation"))});
  }
  page.table(table);
  if (step.has_picture(name + "_occupancy.png"))
    page.figures({{step.picture(name + "_occupancy.png"),
                   "Where the expert is more (red) and less (blue) than the base"},
                  {step.picture(name + "_regions.png"), "Log ratio of the time spent in each cell"}});
  if (step.has_picture(name + "_moments.png")) add_robot(page, step, name);
}

}  // namespace

void evaluate_section(Page& page, std::span<const StepRecord> steps) {
  for (const StepRecord& step : steps) {
    const std::vector<std::string> names = rewards_in(step.result);
    page.section(steps.size() == 1 ? "What the reward says"
                                   : concat("What the reward says: ", readable(step.name)))
        .text(concat(
            step.result.contains("goal")
                ? "The reward of standing at each position, extracted from the two diffusion models alone: "
                  "no "
                  "reward was shown to either. The star is the goal that the expert walks to, the cross the "
                  "reward's peak. "
                : "A relative reward is extracted from the two diffusion models alone: no reward was shown "
                  "to "
                  "either. ",
            "A discriminator, trained to tell expert from base, is the usual baseline."));
    add_comparison(page, step, names);
    if (step.has_picture(names[0] + "_strip.png"))
      page.figure(step.picture(names[0] + "_strip.png"),
                  "The reward over the noise level t. Rewards of different t may not be compared.");
    add_preference(page, step, names[0]);
  }
}

}  // namespace diffreward::cli
