// diffreward rl: train PPO on the task's reward or on an extracted one; judge it by the task's.
#include <cmath>
#include <fstream>

#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "envs/maze2d/maze2d.h"
#include "rewards/learned_reward.h"
#include "rewards/rewarded_env.h"

namespace diffreward::cli {
namespace {

std::unique_ptr<VectorEnv> make_task(const RlConfig& config, const std::string& task_reward) {
  auto env = make_vector(config.env,
                         {.count = config.count, .threads = config.run.threads, .autoreset = "same_step"},
                         maze_options(config.map, config.goal_cell, task_reward));
  if (config.reward.empty()) return env;
  const LearnedReward reward = load_reward(product(config.reward, "reward.safetensors"));
  return std::make_unique<RewardedEnv>(std::move(env), read_reward(reward, config.reading));
}

/// Returns on the true task of one reward kind, and where the agent ends.
Json judge(const RlConfig& config, Ppo& agent, const std::string& task_reward) {
  const auto env = make_vector(
      config.env, {.count = config.count, .threads = config.run.threads, .autoreset = "same_step"},
      maze_options(config.map, config.goal_cell, task_reward));
  const auto outcomes = evaluate_agent(*env, agent, config.episodes, config.ppo.seed);
  const Point goal = dynamic_cast<Maze2D&>(env->env(0)).goal();
  std::vector<double> returns, distances;
  Json ends = Json::array();
  for (const EpisodeOutcome& outcome : outcomes) {
    returns.push_back(outcome.task_return);
    ends.push_back({outcome.last_observation[0], outcome.last_observation[1]});
    distances.push_back(
        std::hypot(outcome.last_observation[0] - goal[0], outcome.last_observation[1] - goal[1]));
  }
  Json quantiles = Json::object();
  for (const double q : {0.1, 0.25, 0.5, 0.75, 0.9})
    quantiles[concat(100 * q, " %")] = quantile(distances, q);
  Json result = {{"return", bootstrap_mean({returns, {}}, {}).json()},
                 {"final_distance", quantiles},
                 {"episodes", {{"return", returns}, {"end", ends}}}};
  if (task_reward == "sparse") result["score"] = env->spec().score(mean(returns));
  return result;
}

}  // namespace

Json run_rl(const RlConfig& config) {
  const StageSpec stage{"rl",
                        to_json(config),
                        config.run.out,
                        config.run.reuse,
                        {{"reward", config.reward, "reward.safetensors"}, map_input(config.map)},
                        {"agent.safetensors"}};
  return run_stage(stage, [&](const std::filesystem::path& folder) {
    check_device(config.ppo.device);
    set_torch_threads(1);  // the nets are too small for more
    const auto env = make_task(config, "dense");
    Ppo agent(*env, config.ppo);
    Progress progress(
        config.reward.empty() ? "PPO on the true reward" : "PPO on " + config.reading.reading + " rho",
        config.env_steps, "steps");
    Json curve = Json::array();
    std::int64_t seen = 0;
    agent.train(config.env_steps, [&](const PpoMetrics& metrics) {
      curve.push_back({{"env_steps", metrics.env_steps},
                       {"reward", metrics.reward},
                       {"task_reward", metrics.task_reward},
                       {"episode_return", metrics.episode_return},
                       {"kl", metrics.kl},
                       {"explained_variance", metrics.explained_variance}});
      progress.advance(metrics.env_steps - seen,
                       concat("true reward ", std::round(metrics.task_reward * 1000) / 1000));
      seen = metrics.env_steps;
    });
    agent.save(folder / "agent.safetensors");
    return Json{{"agent", "agent.safetensors"},
                {"dense", judge(config, agent, "dense")},
                {"sparse", judge(config, agent, "sparse")},
                {"curve", curve}};
  });
}

}  // namespace diffreward::cli
