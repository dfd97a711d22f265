// diffreward rl: train an agent on the task's reward or on an extracted one; judge it by the task's.
#include <algorithm>
#include <cmath>
#include <limits>

#include "agents/device.h"
#include "agents/nets/training_log.h"
#include "cli/command.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "datasets/recorded_env.h"
#include "rewards/anchored.h"
#include "rewards/catalog.h"
#include "rewards/rewarded_env.h"

namespace diffreward::cli {
namespace {

/// The environment with a judge's options beside its own.
std::unique_ptr<VectorEnv> make_task(const RlConfig& config, const Json& options, int count) {
  EnvConfig env = config.env;
  env.options.update(options);
  return make_vector(with_texts(env), {.count = count,
                                       .threads = config.run.threads,
                                       .autoreset = "same_step",
                                       .max_steps = config.episode_steps > 0 ? config.episode_steps : -1});
}

/// Where the agent is trained: the task, recorded if that was asked for, paid by the reward.
struct Gym {
  std::unique_ptr<VectorEnv> env;
  RecordedEnv* recorded = nullptr;  // a part of env
};

Gym make_gym(const RlConfig& config) {
  Gym gym{make_task(config, Json::object(), config.count)};
  if (config.record) {
    auto recorded = std::make_unique<RecordedEnv>(std::move(gym.env));
    gym.recorded = recorded.get();
    gym.env = std::move(recorded);
  }
  if (config.reward.empty()) return gym;
  const LearnedReward reward = load_reward(product(config.reward, "reward.safetensors"));
  std::shared_ptr<const RewardModel> paid = read_reward(reward, config.reading);
  if (!config.anchor.empty())
    paid = anchored(std::move(paid), Bc::load(product(config.anchor, "agent.safetensors"), *gym.env),
                    config.anchor_weight);
  gym.env = std::make_unique<RewardedEnv>(std::move(gym.env), std::move(paid));
  return gym;
}

/// The learners' settings: beside an anchor the price of entropy is the anchor's.
LearningAgents settings_of(const RlConfig& config) {
  LearningAgents learners = config.learners;
  if (config.anchor.empty()) return learners;
  learners.sac.temperature = config.anchor_weight;
  learners.sac.learn_temperature = false;
  return learners;
}

std::vector<double> returns_of(const std::vector<EpisodeOutcome>& outcomes) {
  std::vector<double> returns;
  for (const EpisodeOutcome& outcome : outcomes) returns.push_back(outcome.task_return);
  return returns;
}

/// Returns on one task, and how its episodes end.
Json judge(const RlConfig& config, Agent& agent, const Json& options) {
  const auto env = make_task(config, options, config.count);
  const auto outcomes = evaluate_agent(*env, agent, config.episodes, config.seed);
  const std::vector<double> returns = returns_of(outcomes);
  Json ends = Json::array();
  double steps = 0;
  for (const EpisodeOutcome& outcome : outcomes) {
    ends.push_back(outcome.last_observation);
    steps += outcome.steps;
  }
  Json result = {{"return", bootstrap_mean({returns, {}}, {}).json()},
                 {"episode_steps", steps / static_cast<double>(outcomes.size())},
                 {"episodes", {{"return", returns}, {"end", ends}}}};
  result.update(ends_of(env->spec(), outcomes));
  if (const double score = env->spec().score(mean(returns)); std::isfinite(score)) result["score"] = score;
  return result;
}

/// One run of training: metrics, evaluations, checkpoints, and the agent that is kept.
class Course {
 public:
  Course(const RlConfig& config, const std::filesystem::path& folder)
      : config_(config),
        folder_(folder),
        gym_(make_gym(config)),
        agent_(make_learner(config.algorithm, settings_of(config), *gym_.env, config.seed, config.device)) {
    if (config.evaluate_every > 0)
      judged_ = make_task(config, Json::object(), std::min(config.evaluate_episodes, 128));
  }

  /// Trains to the end, from where an earlier run was stopped.
  Json run() {
    if (!config_.record && std::filesystem::exists(checkpoint())) agent_->load_checkpoint(checkpoint());
    TrainingLog log(folder_ / "metrics.jsonl", agent_->env_steps());
    for (const Json& line : log.lines()) follow(line);
    Progress progress(
        concat(config_.algorithm,
               config_.reward.empty() ? " on the true reward" : " on " + config_.reading.reading + " rho"),
        config_.env_steps - agent_->env_steps(), "steps");
    std::int64_t seen = agent_->env_steps();
    saved_ = seen;
    try {
      agent_->train(config_.env_steps, [&](const TrainingMetrics& metrics) {
        Json line = line_of(metrics);
        const bool last = metrics.env_steps >= config_.env_steps;
        const bool better = evaluate(line, last);
        follow(line);
        log.write(line);
        if (better && config_.keep == "best") agent_->save(product());
        if (config_.stop_at != 0 && evaluated_ && best_ >= config_.stop_at) throw Reached();
        if (!last && config_.checkpoint_every > 0 && !config_.record &&
            metrics.env_steps - saved_ >= config_.checkpoint_every) {
          agent_->save_checkpoint(checkpoint());
          saved_ = metrics.env_steps;
        }
        progress.advance(metrics.env_steps - seen, note(metrics));
        seen = metrics.env_steps;
      });
    } catch (const Reached&) {
    }
    if (config_.keep == "last") agent_->save(product());
    write_tensorboard(folder_ / "metrics.jsonl", folder_);
    std::error_code ignored;
    std::filesystem::remove(checkpoint(), ignored);
    Json result = {{"agent", "agent.safetensors"},
                   {"algorithm", config_.algorithm},
                   {"env", to_json(with_texts(config_.env))},
                   {"env_steps", agent_->env_steps()},
                   {"curve", curve_}};
    if (evaluated_)
      result["selection"] = {{"return", best_}, {"env_steps", best_at_}, {"kept", config_.keep}};
    if (gym_.recorded != nullptr) result["data"] = write_data();
    return result;
  }

  /// The agent that was kept.
  std::unique_ptr<Agent> kept(bool stochastic) {
    ActingConfig acting;
    acting.stochastic = stochastic;
    return load_agent(product(), *gym_.env, Streams(Purpose::kBehaviour, config_.seed), acting,
                      config_.device);
  }

 private:
  struct Reached {};  // the return to stop at

  std::filesystem::path checkpoint() const { return folder_ / "checkpoint.safetensors"; }
  std::filesystem::path product() const { return folder_ / "agent.safetensors"; }

  static Json line_of(const TrainingMetrics& metrics) {
    Json line = {{"step", metrics.env_steps},
                 {"env_steps", metrics.env_steps},
                 {"reward", metrics.reward},
                 {"task_reward", metrics.task_reward},
                 {"episode_return", metrics.episode_return}};
    for (const auto& [name, value] : metrics.details) line[name] = value;
    return line;
  }

  /// Adds what the agent earns now where it is time; whether it is more than ever before.
  bool evaluate(Json& line, bool last) {
    const auto step = line.at("step").get<std::int64_t>();
    if (!judged_ || (!last && step - evaluated_at_ < config_.evaluate_every)) return false;
    const auto outcomes =
        evaluate_agent(*judged_, *agent_, config_.evaluate_episodes, config_.seed, Purpose::kSelection);
    double steps = 0;
    for (const EpisodeOutcome& outcome : outcomes) steps += outcome.steps;
    line["evaluation_return"] = mean(returns_of(outcomes));
    line["evaluation_steps"] = steps / static_cast<double>(outcomes.size());
    return !evaluated_ || line.at("evaluation_return").get<double>() > best_;
  }

  /// What a line of metrics, of this run or of the one it goes on from, adds to what is known.
  void follow(Json line) {
    const auto step = line.at("step").get<std::int64_t>();
    if (line.contains("evaluation_return")) {
      const auto found = line.at("evaluation_return").get<double>();
      if (!evaluated_ || found > best_) {
        best_ = found;
        best_at_ = step;
      }
      evaluated_ = true;
      evaluated_at_ = step;
    }
    line.erase("step");
    curve_.push_back(line);
  }

  std::string note(const TrainingMetrics& metrics) const {
    const std::string reward = concat("true reward ", std::round(metrics.task_reward * 1000) / 1000);
    return evaluated_ ? concat(reward, ", best ", std::round(best_ * 10) / 10) : reward;
  }

  Json write_data() {
    const CollectInfo info{
        .behaviour = config_.algorithm + " while it learned",
        .seed = config_.seed,
        .recording = Recording::kTraining,
        .env_options = with_texts(config_.env).options,
        .extra = {{"agent", {{"algorithm", config_.algorithm}, {"env_steps", agent_->env_steps()}}},
                  {"episode_steps", config_.episode_steps}}};
    return describe_recording(gym_.recorded->write(info, folder_ / "data.hdf5"), folder_);
  }

  const RlConfig& config_;
  std::filesystem::path folder_;
  Gym gym_;
  std::unique_ptr<VectorEnv> judged_;
  std::unique_ptr<LearningAgent> agent_;
  Json curve_ = Json::array();
  bool evaluated_ = false;
  double best_ = 0;
  std::int64_t best_at_ = 0, evaluated_at_ = 0, saved_ = 0;  // environment steps
};

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

namespace {

/// The data sets that the algorithm learns from in place of a reward.
std::vector<StageInput> data_of(const RlConfig& config) {
  std::vector<StageInput> data;
  for (const FieldInfo& field : fields(config.learners))  // data, expert_data
    if (field.name.starts_with(config.algorithm + ".") && field.name.ends_with("data"))
      data.push_back({field.name, field.value.get<std::string>(), "data"});
  return data;
}

}  // namespace

StageSpec stage_of(const RlConfig& config) {
  std::vector<StageInput> inputs = files_of(config.env);
  for (const auto& [judge, options] : config.judges.items())
    for (StageInput file : files_of({config.env.id, options})) {
      file.option = concat("judges.", judge, ".", file.product);
      inputs.push_back(file);
    }
  inputs.push_back({"reward", config.reward, "reward.safetensors"});
  if (!config.anchor.empty()) inputs.push_back({"anchor", config.anchor, "agent.safetensors"});
  for (const StageInput& data : data_of(config)) inputs.push_back(data);
  return {.command = "rl",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = inputs,
          .products = {"agent.safetensors", "metrics.jsonl", kTensorboardFile, "checkpoint.safetensors",
                       "data.hdf5", "card.md"}};
}

Json run_rl(const RlConfig& config) {
  if (config.evaluate_every == 0 && config.keep == "best")
    throw UsageError("keep: the best is chosen by evaluations, and evaluate_every is 0");
  if (config.evaluate_every == 0 && config.stop_at != 0)
    throw UsageError("stop_at: a return is told by evaluations, and evaluate_every is 0");
  if (!config.reward.empty() && !data_of(config).empty())
    throw UsageError(
        concat("reward: ", config.algorithm, " learns from data and hears no reward, got ", config.reward));
  if (!config.anchor.empty() && (config.reward.empty() || config.algorithm != "sac"))
    throw UsageError(concat("anchor: expected SAC on an extracted reward, got ", config.algorithm,
                            config.reward.empty() ? " without one" : ""));
  for (const auto& [name, options] : config.judges.items())
    require(options.is_object(), "judges.", name, ": expected options of the environment, got ",
            brief(options));
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    Course course(config, folder);
    Json result = course.run();
    const auto agent = course.kept(/*stochastic=*/false);
    const Json as_it_is = {{"task", Json::object()}};
    for (const auto& [name, options] : (config.judges.empty() ? as_it_is : config.judges).items())
      result["judges"][name] = judge(config, *agent, options);
    if (config.judge_draws) {
      const auto draws = course.kept(/*stochastic=*/true);
      result["stochastic"] = judge(config, *draws, Json::object());
    }
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
