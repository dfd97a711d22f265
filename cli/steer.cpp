// diffreward steer: sample the base model with the reward as its guide.
#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "rewards/evaluate/steering.h"
#include "rewards/learned_reward.h"

namespace diffreward::cli {

Json run_steer(const SteerConfig& config) {
  const StageSpec stage{"steer",
                        to_json(config),
                        config.run.out,
                        config.run.reuse,
                        {{"base", config.base, "model.safetensors"},
                         {"expert", config.expert, "model.safetensors"},
                         {"reward", config.reward, "reward.safetensors"},
                         {"base_data", config.base_data, "data"}},
                        {"data.png", "unguided.png", "guided.png", "expert.png"}};
  return run_stage(stage, [&](const std::filesystem::path& folder) {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    const DiffusionModel base = open_model(config.base, config.device);
    const DiffusionModel expert = open_model(config.expert, config.device);
    const LearnedReward reward = load_reward(product(config.reward, "reward.safetensors"), config.device);
    const bool as_step = reward.relative != nullptr && config.units == "difference";
    const auto guide = as_step ? difference_guide(reward.relative) : reward.guide;
    const Dataset data = open_data(config.base_data);
    const MazeMap map = maze_of_data(data);
    const Point goal = goal_of(map, config.goal_cell);
    const SteeringReport report =
        evaluate_steering(base, expert, *guide, data, map, goal, config.sample,
                          {.samples = config.samples, .bootstrap = {.seed = config.sample.seed}});
    const int height = config.width * map.rows() / map.columns();
    for (const SteeringSet* set : {&report.data, &report.unguided, &report.guided, &report.expert})
      write_png(folder / (set->name + ".png"), draw_paths(*set, map, goal, 24, config.width, height));
    return report.json();
  });
}

}  // namespace diffreward::cli
