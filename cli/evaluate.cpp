// diffreward evaluate: what a reward means, with the discriminator beside it.
#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"
#include "rewards/discriminator/discriminator.h"

namespace diffreward::cli {
namespace {

constexpr int kStripTimesteps[] = {0, 5, 10, 20, 40, 80};

/// One task: a maze, its goal, held-out recordings of both sides.
struct Case {
  const EvaluateConfig& config;
  std::filesystem::path folder;  // of the pictures
  MazeMap map;
  Point goal;
  Dataset expert, base;
  int height() const { return config.width * map.rows() / map.columns(); }
};

RewardEvaluation judge(const Case& c, const RewardModel& reward, const RewardModel* support,
                       const std::string& name) {
  const RewardEvaluation result =
      evaluate_reward(reward, c.map, c.goal, c.expert, c.base, c.config.evaluation, support);
  write_png(c.folder / (name + "_heatmap.png"),
            draw_reward(result.heatmap, c.map, c.goal, name, c.config.width, c.height()));
  return result;
}

Json judge_relative(const Case& c, const RelativeReward& reward) {
  const FunctionReward support(reward.layout(), reward.reads_actions(),
                               [&](auto windows, auto out) { reward.support(windows, out); });
  const RewardEvaluation result = judge(c, reward, &support, "relative");
  std::vector<int> timesteps;
  for (const int t : kStripTimesteps)
    if (t < reward.timesteps()) timesteps.push_back(t);
  const std::vector<Heatmap> strip = heatmap_strip(
      [&](int t) -> ScoreFn {
        return [&reward, t](auto windows, auto out) { reward.score_at(t, windows, out); };
      },
      reward, timesteps, c.map, c.goal, {.per_cell = c.config.evaluation.per_cell});
  write_png(c.folder / "strip.png", draw_reward_strip(strip, timesteps, c.map, c.goal, c.height() / 2));
  write_png(c.folder / "occupancy.png",
            draw_occupancy(result.preference, c.map, c.goal, c.config.width, c.height()));
  write_png(c.folder / "regions.png",
            draw_regions(result.preference, c.map, c.goal, c.config.width, c.height()));
  Json json = result.json();
  for (std::size_t i = 0; i < strip.size(); ++i) {
    json["over_t"].push_back(strip[i].json());
    json["over_t"].back()["t"] = timesteps[i];
  }
  return json;
}

}  // namespace

MazeMap maze_of_data(const Dataset& data) {
  const Provenance& from = data.provenance();
  require(!from.env.empty(), data.path().string(),
          ": expected the name of a maze environment in its metadata, found none");
  const auto env = make_env(from.env, from.env_options);
  const auto* maze = dynamic_cast<const Maze2D*>(env.get());
  require(maze != nullptr, data.path().string(), ": expected data of a maze, found ", from.env);
  return maze->map();
}

Point goal_of(const MazeMap& map, const std::vector<int>& goal_cell) {
  require(goal_cell.size() == 2 || (goal_cell.empty() && map.goal()),
          "goal_cell: expected row and column, got ", goal_cell.size(), " numbers");
  const Cell cell = goal_cell.empty() ? *map.goal() : Cell{goal_cell[0], goal_cell[1]};
  require(map.free(cell), "goal_cell: expected a free cell, got (", cell[0], ", ", cell[1], ")");
  return MazeMap::point_of(cell);
}

Json run_evaluate(const EvaluateConfig& config) {
  const StageSpec stage{
      "evaluate",
      to_json(config),
      config.run.out,
      config.run.reuse,
      {{"reward", config.reward, "reward.safetensors"},
       {"baseline", config.baseline, "reward.safetensors"},
       {"expert_data", config.expert_data, "data"},
       {"base_data", config.base_data, "data"}},
      {"relative_heatmap.png", "discriminator_heatmap.png", "strip.png", "occupancy.png", "regions.png"}};
  return run_stage(stage, [&](const std::filesystem::path& folder) {
    set_torch_threads(config.run.threads);
    const Dataset base = open_data(config.base_data);
    const MazeMap map = maze_of_data(base);
    const Case c{config, folder, map, goal_of(map, config.goal_cell), open_data(config.expert_data), base};
    Json result = {{"goal", c.goal}};
    const auto file = [](const std::string& path) { return product(path, "reward.safetensors"); };
    result["relative"] = judge_relative(c, *RelativeReward::load(file(config.reward)));
    if (!config.baseline.empty())
      result["discriminator"] =
          judge(c, *Discriminator::load(file(config.baseline)), nullptr, "discriminator").json();
    return result;
  });
}

}  // namespace diffreward::cli
