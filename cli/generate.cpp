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

StageInput map_input(const std::string& map) {
  std::error_code ignored;
  return {"map", std::filesystem::is_regular_file(map, ignored) ? map : std::string(), "map"};
}

Dataset open_data(const std::string& path) {
  return Dataset::open(product(path, "data"));
}

namespace {

/// Instances and steps that give whole episodes: as many as were asked for, or the next more.
struct RecordingSize {
  int count;
  std::size_t steps;
};

RecordingSize size_of(const GenerateConfig& config) {
  const auto asked = static_cast<std::size_t>(config.steps);
  if (!config.whole_episodes) return {config.count, asked};
  const auto episode = static_cast<std::size_t>(
      config.episode_steps > 0 ? config.episode_steps : env_spec(config.env, Json::object()).max_steps);
  const std::size_t episodes = (asked + episode - 1) / episode;
  const auto count = std::min(static_cast<std::size_t>(config.count), episodes);
  const std::size_t each = (episodes + count - 1) / count;
  return {static_cast<int>(count), count * each * episode};
}

}  // namespace

Json run_generate(const GenerateConfig& config) {
  const std::string behaviour = config.goal_cell.empty() ? "base" : "expert";
  const std::string id = "diffreward/" + config.env + "/" + behaviour + "-v0";
  StageSpec stage{"generate",       to_json(config),         config.run.out,
                  config.run.reuse, {map_input(config.map)}, {"data.hdf5"}};
  stage.link = Link::kAgents;
  if (config.format == "minari")
    for (const char* file : {"/data/main_data.hdf5", "/data/metadata.json"})
      stage.products.push_back(id + file);
  return run_stage(stage, [&](const std::filesystem::path& folder) {
    const RecordingSize size = size_of(config);
    Json options = maze_options(config.map, config.goal_cell, config.reward);
    options["random_goal"] = config.goal_cell.empty();
    options["start_jitter"] = config.start_jitter;
    options["goal_jitter"] = config.goal_jitter;
    const auto envs = make_vector(config.env,
                                  {.count = size.count,
                                   .threads = config.run.threads,
                                   .autoreset = "same_step",
                                   .max_steps = config.episode_steps > 0 ? config.episode_steps : -1},
                                  options);
    const Recording recorded = config.goal_cell.empty()
                                   ? (config.held_out ? Recording::kHeldOutBase : Recording::kBase)
                                   : (config.held_out ? Recording::kHeldOutExpert : Recording::kExpert);
    const CollectInfo info{
        .behaviour = config.goal_cell.empty() ? "waypoints to random goals" : "waypoints to one goal",
        .seed = config.controller.seed,
        .recording = recorded,
        .env_options = options,
        .extra = {{"controller", to_json(config.controller)}, {"episode_steps", config.episode_steps}},
        .extra_fields = waypoint_extra_fields()};
    const Dataset data =
        collect(*envs, waypoint_policy(config.controller, recorded), size.steps, info, folder / "data.hdf5");
    Json result = {{"data", "data.hdf5"}, {"transitions", data.size()}, {"episodes", data.episodes().size()}};
    if (data.size() != static_cast<std::size_t>(config.steps))
      result["rounded"] = concat(config.steps, " steps were asked for, ", data.size(),
                                 config.whole_episodes ? " are whole episodes" : " are as many an instance");
    if (config.format == "minari") {
      data.write_minari(folder, id);
      result["minari"] = id + "/data/main_data.hdf5";
    }
    double total = 0;
    for (const float reward : data.rewards()) total += reward;
    result["reward_per_step"] = total / static_cast<double>(data.size());
    return result;
  });
}

}  // namespace diffreward::cli
