// diffreward steer: sample the base model with the reward as its guide.
#include "agents/device.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "rewards/catalog.h"
#include "rewards/evaluate/maze_task.h"
#include "rewards/evaluate/steering.h"
#include "rewards/guides.h"

namespace diffreward::cli {

StageSpec stage_of(const SteerConfig& config) {
  return {.command = "steer",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = {{"base", config.base, "model.safetensors"},
                     {"expert", config.expert, "model.safetensors"},
                     {"reward", config.reward, "reward.safetensors"},
                     {"expert_data", config.expert_data, "data"},
                     {"base_data", config.base_data, "data"}},
          .products = {"data.png", "unguided.png", "guided.png", "expert.png"}};
}

Json run_steer(const SteerConfig& config) {
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    const DiffusionModel base = open_model(config.base, config.device);
    const DiffusionModel expert = open_model(config.expert, config.device);
    const LearnedReward reward = load_reward(product(config.reward, "reward.safetensors"), config.device);
    const auto guide =
        config.units == "difference" ? difference_guide(log_ratio_of(reward), base.schedule()) : reward.guide;
    const Dataset data = open_data(config.base_data);
    const auto [map, goal, dense] = maze_task(open_data(config.expert_data));
    guide_of(reward);  // throws where it is none
    const SteeringReport report =
        evaluate_steering(base, expert, *guide, data, map, goal, config.sample,
                          {.samples = config.samples, .bootstrap = {.seed = config.sample.seed}});
    const int height = config.width * map.rows() / map.columns();
    for (const SteeringSet* set : {&report.data, &report.unguided, &report.guided, &report.expert})
      write_png(folder / (set->name + ".png"), draw_paths(*set, map, goal, 24, config.width, height));
    return report.json();
  });
}

void steer_section(Page& page, std::span<const StepRecord> steps) {
  for (const StepRecord& step : steps) {
    page.section(steps.size() == 1 ? "The base model, steered" : concat("Steered: ", readable(step.name)))
        .text(
            "The base model of whole walks, sampled from random first states without guide and with a "
            "relative reward of "
            "whole walks as guide, and the expert model. Success is a last row within 0.5 cells of the goal; "
            "it can be "
            "bought by teleporting, so the largest step and the share of points in free space stand beside "
            "it.");
    Table table{"Samples", {"", "success", "largest step, 99 % quantile, cells", "points in free space"}, {}};
    std::vector<Picture> pictures;
    for (const std::string name : {"data", "unguided", "guided", "expert"}) {
      const Json& set = step.result.at(name);
      table.rows.push_back({name, with_interval(set.at("success")), number(set.at("largest_step_q99")),
                            number(set.at("free").at("value"))});
      if (name != "data")
        pictures.push_back({step.picture(name + ".png"), name, concat("Paths sampled, ", name)});
    }
    page.table(table).figures(pictures);
  }
}

}  // namespace diffreward::cli
