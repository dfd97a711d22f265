// diffreward plan: a diffusion model acts in an environment, by itself or led by a reward.
#include <chrono>

#include "agents/device.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "core/statistics.h"
#include "rewards/catalog.h"

namespace diffreward::cli {

StageSpec stage_of(const PlanConfig& config) {
  std::vector<StageInput> inputs = files_of(config.env);
  inputs.push_back({"model", config.model, "model.safetensors"});
  inputs.push_back({"reward", config.reward, "reward.safetensors"});
  return {.command = "plan",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = inputs,
          .products = {}};
}

Json run_plan(const PlanConfig& config) {
  return run_stage(stage_of(config), [&](const std::filesystem::path&) {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    const DiffusionModel model = open_model(config.model, config.device);
    LearnedReward reward;
    if (!config.reward.empty())
      reward = load_reward(product(config.reward, "reward.safetensors"), config.device);
    const auto env = make_vector(with_texts(config.env),
                                 {.count = config.count,
                                  .threads = config.run.threads,
                                  .autoreset = "same_step",
                                  .max_steps = config.episode_steps > 0 ? config.episode_steps : -1});
    const auto observation = env->spec().observation.size(), action = env->spec().action.size();
    require(observation == static_cast<std::size_t>(model.layout().observation_dim) &&
                action == static_cast<std::size_t>(model.layout().action_dim),
            "model: expected one of ", config.env.id, "'s ", observation, " observations and ", action,
            " actions, found ", model.layout().observation_dim, " and ", model.layout().action_dim);
    Planner planner(model, config.sample, config.planner,
                    config.reward.empty() ? nullptr : &guide_of(reward));
    const auto begin = std::chrono::steady_clock::now();
    const auto outcomes = evaluate_agent(*env, planner, config.episodes, config.sample.seed);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

    std::vector<double> returns;
    std::vector<int> steps;
    for (const EpisodeOutcome& outcome : outcomes) {
      returns.push_back(outcome.task_return);
      steps.push_back(outcome.steps);
    }
    Json result = {{"return", bootstrap_mean({returns, {}}, {}).json()},
                   {"plans", planner.plans()},
                   {"milliseconds_per_plan", 1e3 * seconds / static_cast<double>(planner.plans())},
                   {"episodes", {{"return", returns}, {"steps", steps}}}};
    result.update(ends_of(env->spec(), outcomes));
    return result;
  });
}

void plan_section(Page& page, std::span<const StepRecord> steps) {
  Table table{"Episodes of planners", {"", "sampler", "return", "success", "milliseconds per plan"}, {}};
  for (const StepRecord& step : steps) {
    const Json& sample = step.config.at("sample");
    const int denoising = sample.at("steps");
    table.rows.push_back({readable(step.name),
                          concat(sample.at("sampler").get<std::string>(), ", ",
                                 denoising == 0 ? std::string("all") : number(denoising), " steps"),
                          with_interval(step.result.at("return")),
                          step.result.contains("success") ? with_interval(step.result.at("success")) : "-",
                          number(step.result.at("milliseconds_per_plan"))});
  }
  page.section("The model acts")
      .text("Plans are sampled from what an instance observes, and their first steps are carried out.")
      .table(table);
}

}  // namespace diffreward::cli
