// diffreward plan: a diffusion model acts in an environment, by itself or led by a reward.
#include <chrono>
#include <cmath>

#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "core/statistics.h"
#include "envs/maze2d/maze2d.h"
#include "rewards/learned_reward.h"

namespace diffreward::cli {

Json run_plan(const PlanConfig& config) {
  const StageSpec stage{"plan",
                        to_json(config),
                        config.run.out,
                        config.run.reuse,
                        {{"model", config.model, "model.safetensors"},
                         {"reward", config.reward, "reward.safetensors"},
                         map_input(config.map)},
                        {}};
  return run_stage(stage, [&](const std::filesystem::path&) {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    const DiffusionModel model = open_model(config.model, config.device);
    LearnedReward reward;
    if (!config.reward.empty())
      reward = load_reward(product(config.reward, "reward.safetensors"), config.device);
    Json options = Json::object();
    if (!config.map.empty()) options["map"] = config.map;
    if (!config.goal_cell.empty()) options["goal_cell"] = config.goal_cell;
    const auto env = make_vector(config.env,
                                 {.count = config.count,
                                  .threads = config.run.threads,
                                  .autoreset = "same_step",
                                  .max_steps = config.episode_steps > 0 ? config.episode_steps : -1},
                                 options);
    const auto observation = env->spec().observation.size(), action = env->spec().action.size();
    require(observation == static_cast<std::size_t>(model.layout().observation_dim) &&
                action == static_cast<std::size_t>(model.layout().action_dim),
            "model: expected one of ", config.env, "'s ", observation, " observations and ", action,
            " actions, found ", model.layout().observation_dim, " and ", model.layout().action_dim);
    Planner planner(model, config.sample, config.planner, reward.guide.get());
    const auto begin = std::chrono::steady_clock::now();
    const auto outcomes = evaluate_agent(*env, planner, config.episodes, config.sample.seed);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

    std::vector<double> returns, success, distances;
    std::vector<int> steps;
    const auto* const maze = dynamic_cast<Maze2D*>(&env->env(0));
    for (const EpisodeOutcome& outcome : outcomes) {
      returns.push_back(outcome.task_return);
      steps.push_back(outcome.steps);
      if (!maze) continue;
      distances.push_back(std::hypot(outcome.last_observation[0] - maze->goal()[0],
                                     outcome.last_observation[1] - maze->goal()[1]));
      success.push_back(distances.back() <= Maze2D::kGoalRadius);
    }
    Json result = {{"return", bootstrap_mean({returns, {}}, {}).json()},
                   {"plans", planner.plans()},
                   {"milliseconds_per_plan", 1e3 * seconds / static_cast<double>(planner.plans())},
                   {"episodes", {{"return", returns}, {"steps", steps}}}};
    if (maze) {
      result["success"] = bootstrap_mean({success, {}}, {}).json();
      result["episodes"]["final_distance"] = distances;
    }
    return result;
  });
}

}  // namespace diffreward::cli
