// diffreward generate: walk mazes with the waypoint controller and record what happens.
#include "cli/stage.h"
#include "cli/stages.h"
#include "envs/catalog.h"
#include "envs/vector_env.h"

namespace diffreward::cli {

Json maze_options(const std::string& map, const std::vector<int>& goal_cell, const std::string& reward) {
  Json options = {{"reward", reward}};
  if (!map.empty()) options["map"] = map;
  if (!goal_cell.empty()) options["goal_cell"] = goal_cell;
  return options;
}

Dataset open_data(const std::string& path) {
  require(!path.empty(), "data: expected a data set, got nothing");
  return Dataset::open(product(path, "data.hdf5"));
}

Json run_generate(const GenerateConfig& config) {
  return run_stage("generate", config.run.out, to_json(config), {}, config.run.reuse, [&] {
    Json options = maze_options(config.map, config.goal_cell, config.reward);
    options["random_goal"] = config.goal_cell.empty();
    options["start_jitter"] = config.start_jitter;
    options["goal_jitter"] = config.goal_jitter;
    const auto envs = make_vector(config.env,
                                  {.count = config.count,
                                   .threads = config.run.threads,
                                   .autoreset = "same_step",
                                   .max_steps = config.episode_steps > 0 ? config.episode_steps : -1},
                                  options);
    const CollectInfo info{
        .behaviour = config.goal_cell.empty() ? "waypoints to random goals" : "waypoints to one goal",
        .seed = config.controller.seed,
        .env_options = options,
        .extra = {{"controller", to_json(config.controller)}, {"episode_steps", config.episode_steps}},
        .extra_fields = waypoint_extra_fields()};
    const std::filesystem::path file = std::filesystem::path(config.run.out) / "data.hdf5";
    const Dataset data = collect(*envs, waypoint_policy(config.controller),
                                 static_cast<std::size_t>(config.steps), info, file);
    Json result = {
        {"data", file.string()}, {"transitions", data.size()}, {"episodes", data.episodes().size()}};
    if (config.format == "minari") {
      const std::string behaviour = config.goal_cell.empty() ? "base" : "expert";
      result["minari"] =
          data.write_minari(config.run.out, "diffreward/" + config.env + "/" + behaviour).string();
    }
    double total = 0;
    for (const float reward : data.rewards()) total += reward;
    result["reward_per_step"] = total / static_cast<double>(data.size());
    return result;
  });
}

}  // namespace diffreward::cli
