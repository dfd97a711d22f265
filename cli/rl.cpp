// diffreward rl: train an agent on the task's reward or on an extracted one; judge it by the task's.
#include <cmath>
#include <limits>

#include "agents/device.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "rewards/catalog.h"
#include "rewards/rewarded_env.h"

namespace diffreward::cli {
namespace {

/// The environment with a judge's options beside its own.
std::unique_ptr<VectorEnv> make_task(const RlConfig& config, const Json& options) {
  EnvConfig env = config.env;
  env.options.update(options);
  return make_vector(with_texts(env), {.count = config.count,
                                       .threads = config.run.threads,
                                       .autoreset = "same_step",
                                       .max_steps = config.episode_steps > 0 ? config.episode_steps : -1});
}

std::unique_ptr<VectorEnv> make_paid(const RlConfig& config) {
  auto env = make_task(config, Json::object());
  if (config.reward.empty()) return env;
  const LearnedReward reward = load_reward(product(config.reward, "reward.safetensors"));
  return std::make_unique<RewardedEnv>(std::move(env), read_reward(reward, config.reading));
}

/// Returns on one task, and how its episodes end.
Json judge(const RlConfig& config, Agent& agent, const Json& options) {
  const auto env = make_task(config, options);
  const auto outcomes = evaluate_agent(*env, agent, config.episodes, config.seed);
  std::vector<double> returns;
  Json ends = Json::array();
  for (const EpisodeOutcome& outcome : outcomes) {
    returns.push_back(outcome.task_return);
    ends.push_back(outcome.last_observation);
  }
  Json result = {{"return", bootstrap_mean({returns, {}}, {}).json()},
                 {"episodes", {{"return", returns}, {"end", ends}}}};
  result.update(ends_of(env->spec(), outcomes));
  if (const double score = env->spec().score(mean(returns)); std::isfinite(score)) result["score"] = score;
  return result;
}

}  // namespace

Json ends_of(const EnvSpec& spec, const std::vector<EpisodeOutcome>& outcomes) {
  const auto last = [&](const char* field) {
    std::vector<double> values;
    if (const auto at = spec.info_offset(field))
      for (const EpisodeOutcome& outcome : outcomes) values.push_back(outcome.last_info[*at]);
    return values;
  };
  Json ends = Json::object();
  if (const std::vector<double> success = last("success"); !success.empty())
    ends["success"] = bootstrap_mean({success, {}}, {}).json();
  if (const std::vector<double> distances = last("goal_distance"); !distances.empty()) {
    for (const double q : {0.1, 0.25, 0.5, 0.75, 0.9})
      ends["final_distance"][concat(100 * q, " %")] = quantile(distances, q);
    ends["final_distances"] = distances;
  }
  return ends;
}

std::vector<std::string> names_of_learners() {
  std::vector<std::string> names;
  for (const AgentInfo& agent : learning_agents()) names.push_back(agent.name);
  return names;
}

StageSpec stage_of(const RlConfig& config) {
  std::vector<StageInput> inputs = files_of(config.env);
  for (const auto& [judge, options] : config.judges.items())
    for (StageInput file : files_of({config.env.id, options})) {
      file.option = concat("judges.", judge, ".", file.product);
      inputs.push_back(file);
    }
  inputs.push_back({"reward", config.reward, "reward.safetensors"});
  return {.command = "rl",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = inputs,
          .products = {"agent.safetensors"}};
}

Json run_rl(const RlConfig& config) {
  for (const auto& [name, options] : config.judges.items())
    require(options.is_object(), "judges.", name, ": expected options of the environment, got ",
            brief(options));
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    check_device(config.device);
    set_torch_threads(1);  // the nets are too small for more
    const auto env = make_paid(config);
    const auto agent = make_learner(config.algorithm, config.learners, *env, config.seed, config.device);
    Progress progress(
        concat(config.algorithm,
               config.reward.empty() ? " on the true reward" : " on " + config.reading.reading + " rho"),
        config.env_steps, "steps");
    Json curve = Json::array();
    std::int64_t seen = 0;
    agent->train(config.env_steps, [&](const TrainingMetrics& metrics) {
      Json line = {{"env_steps", metrics.env_steps},
                   {"reward", metrics.reward},
                   {"task_reward", metrics.task_reward},
                   {"episode_return", metrics.episode_return}};
      for (const auto& [name, value] : metrics.details) line[name] = value;
      curve.push_back(line);
      progress.advance(metrics.env_steps - seen,
                       concat("true reward ", std::round(metrics.task_reward * 1000) / 1000));
      seen = metrics.env_steps;
    });
    agent->save(folder / "agent.safetensors");
    Json result = {{"agent", "agent.safetensors"},
                   {"algorithm", config.algorithm},
                   {"env", to_json(with_texts(config.env))},
                   {"curve", curve}};
    const Json as_it_is = {{"task", Json::object()}};
    for (const auto& [name, options] : (config.judges.empty() ? as_it_is : config.judges).items())
      result["judges"][name] = judge(config, *agent, options);
    return result;
  });
}

void rl_section(Page& page, std::span<const StepRecord> steps) {
  // A record's config is without the inputs that were used.
  const auto is_paid = [](const StepRecord& step) { return !step.config.contains("reward"); };
  const auto truth =
      std::find_if(steps.begin(), steps.end(), [&](const StepRecord& step) { return !is_paid(step); });
  std::vector<std::string> judges;
  bool distances = false;
  for (const StepRecord& step : steps)
    for (const auto& [judge, found] : step.result.at("judges").items()) {
      if (std::find(judges.begin(), judges.end(), judge) == judges.end()) judges.push_back(judge);
      distances = distances || found.contains("final_distance");
    }
  const auto value_of = [](const StepRecord& step, const std::string& judge) {
    const Json& found = step.result.at("judges");
    return found.contains(judge) ? found.at(judge).at("return").at("value").get<double>()
                                 : std::numeric_limits<double>::quiet_NaN();
  };
  std::vector<std::string> header = {"", "paid by"};
  for (const std::string& judge : judges) {
    header.push_back(judge + " return");
    if (truth != steps.end()) header.push_back("share of the true reward's");
  }
  if (distances) header.push_back("median final distance");
  Table table{"True returns", header, {}};
  LineChart chart{
      "Learning curves, judged by the true reward", "environment steps", "true reward per step", {}};
  for (const StepRecord& step : steps) {
    const Json& found = step.result.at("judges");
    const std::string reading = step.config.at("reading").at("reading");
    std::vector<std::string> row = {readable(step.name),
                                    is_paid(step) ? readable(reading) : std::string("the true reward")};
    for (const std::string& judge : judges) {
      row.push_back(found.contains(judge) ? with_interval(found.at(judge).at("return")) : "-");
      if (truth == steps.end()) continue;
      const double own = value_of(step, judge), best = value_of(*truth, judge);
      row.push_back(own >= 0 && best > 0 ? number(own / best) : "-");  // costs have no shares
    }
    if (distances) {
      const Json& first = found.begin().value();
      row.push_back(first.contains("final_distance") ? number(first.at("final_distance").at("50 %")) : "-");
    }
    table.rows.push_back(row);
    LineSeries line{readable(step.name), {}, {}};
    for (const Json& point : step.result.at("curve")) {
      line.x.push_back(point.at("env_steps"));
      line.y.push_back(point.at("task_reward"));
    }
    chart.series.push_back(line);
  }
  page.section("Agents trained on it")
      .text(
          "Agents from scratch, with the same settings, on the true reward and on the extracted one. All are "
          "judged by the "
          "true task, with deterministic actions from fresh starts. Plain pays the reward as it is, the "
          "density ratio its exponential, shaped its growth over each step (`rewards/reading.h`).")
      .table(table)
      .chart(chart);
}

}  // namespace diffreward::cli
