// diffreward evaluate: what a reward means, with the discriminator beside it.
#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"

namespace diffreward::cli {
namespace {

constexpr int kStripTimesteps[] = {0, 5, 10, 20, 40, 80};

Json judge(const RelativeReward& reward, const MazeMap& map, Point goal, const Dataset& expert,
           const Dataset& base, const EvaluateConfig& config, const std::string& name) {
  const std::filesystem::path folder = config.run.out;
  const FunctionReward support(reward.layout(), reward.reads_actions(),
                               [&](auto windows, auto out) { reward.support(windows, out); });
  const RewardEvaluation result =
      evaluate_reward(reward, map, goal, expert, base, config.evaluation, &support);
  const int height = config.width * map.rows() / map.columns();
  write_png(folder / (name + "_heatmap.png"),
            draw_reward(result.heatmap, map, goal, name == "relative" ? "relative reward" : name,
                        config.width, height));
  if (name != "relative") return result.json();

  std::vector<int> timesteps;
  for (const int t : kStripTimesteps)
    if (t < reward.timesteps()) timesteps.push_back(t);
  const std::vector<Heatmap> strip = heatmap_strip(
      [&](int t) -> ScoreFn {
        return [&reward, t](auto windows, auto out) { reward.score_at(t, windows, out); };
      },
      reward, timesteps, map, goal, {.per_cell = config.evaluation.per_cell});
  write_png(folder / "strip.png", draw_reward_strip(strip, timesteps, map, goal, height / 2));
  write_png(folder / "occupancy.png", draw_occupancy(result.preference, map, goal, config.width, height));
  write_png(folder / "regions.png", draw_regions(result.preference, map, goal, config.width, height));
  Json json = result.json();
  Json over_t = Json::array();
  for (std::size_t i = 0; i < strip.size(); ++i) {
    over_t.push_back(strip[i].json());
    over_t.back()["t"] = timesteps[i];
  }
  json["over_t"] = over_t;
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
  std::vector<std::filesystem::path> inputs = {config.reward, config.expert_data, config.base_data};
  if (!config.baseline.empty()) inputs.emplace_back(config.baseline);
  return run_stage("evaluate", config.run.out, to_json(config), inputs, config.run.reuse, [&] {
    set_torch_threads(config.run.threads);
    const Dataset expert = open_data(config.expert_data), base = open_data(config.base_data);
    const MazeMap map = maze_of_data(base);
    const Point goal = goal_of(map, config.goal_cell);
    const auto open = [](const std::string& path) {
      return RelativeReward::load(product(path, "reward.safetensors"));
    };
    Json result = {{"goal", goal}};
    result["relative"] = judge(*open(config.reward), map, goal, expert, base, config, "relative");
    if (!config.baseline.empty())
      result["discriminator"] =
          judge(*open(config.baseline), map, goal, expert, base, config, "discriminator");
    return result;
  });
}

}  // namespace diffreward::cli
