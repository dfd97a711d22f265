// diffreward plan: a diffusion model acts in an environment, by itself or led by a reward.
#include <chrono>
#include <cmath>
#include <optional>

#include "agents/device.h"
#include "agents/diffusion/evidence_bound.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "core/statistics.h"
#include "datasets/recorded_env.h"
#include "rewards/catalog.h"
#include "rewards/guides.h"

namespace diffreward::cli {
namespace {

/// What leads a model's samples, and what chooses among them; null for nothing.
struct Steering {
  std::shared_ptr<const Guide> guide, judge;
};

Steering steering_of(const PlanConfig& config, const DiffusionModel& model, const DiffusionModel* expert) {
  require(config.rewards.empty() || config.expert.empty(),
          "expert: expected rewards or an expert model to guide, got both");
  require(config.pessimism == 0 || config.rewards.size() > 1,
          "pessimism: expected an ensemble of rewards, got ", config.rewards.size());
  Steering steering;
  std::vector<std::shared_ptr<const Guide>> guides, judges;
  for (const std::string& path : config.rewards) {
    const LearnedReward reward = load_reward(product(path, "reward.safetensors"), config.device);
    guide_of(reward);  // throws where it is none
    require_units(reward, model);
    if (config.units == "reward") guides.push_back(reward.guide);
    if (config.units == "difference")
      guides.push_back(difference_guide(log_ratio_of(reward), model.schedule()));
    if (config.units == "probability") guides.push_back(probability_guide(log_ratio_of(reward)));
    judges.push_back(reward.log_ratio != nullptr ? reward.log_ratio : reward.guide);
  }
  if (expert != nullptr) {
    require_same_units("the expert model", expert->normalizer(), "the model", model.normalizer());
    require(expert->layout() == model.layout(), "expert: expected the layout of the model, found another");
    steering.guide = field_guide(*expert, model);
  } else if (!guides.empty()) {
    steering.guide = ensemble_guide(guides, config.pessimism);
    steering.judge = ensemble_guide(judges, config.pessimism);
  }
  if (config.judge == "likelihood")
    steering.judge = std::make_shared<EvidenceBound>(model, config.sample.seed);
  return steering;
}

/// "guide at x_t, 0.5 times; best of 16": what leads a planner, in words.
std::string led_by(const Json& config) {
  const Json &sample = config.at("sample"), &planner = config.at("planner");
  const auto scale = sample.at("scale").get<double>();
  const auto candidates = planner.at("candidates").get<int>();
  std::string text;
  if (scale != 0 && (!config.at("rewards").empty() || config.at("expert") != ""))
    text = concat(config.at("expert") != "" ? "expert's field" : "reward", " at ",
                  sample.at("guide_at").get<std::string>(), ", ", number(scale), " times its ",
                  config.at("units").get<std::string>());
  if (candidates > 1)
    text += concat(text.empty() ? "" : "; ", planner.at("choose").get<std::string>(), " of ", candidates,
                   " by ", config.at("judge").get<std::string>());
  return text.empty() ? "nothing" : text;
}

}  // namespace

StageSpec stage_of(const PlanConfig& config) {
  std::vector<StageInput> inputs = files_of(config.env);
  inputs.push_back({"model", config.model, "model.safetensors"});
  inputs.push_back({"expert", config.expert, "model.safetensors"});
  for (std::size_t i = 0; i < config.rewards.size(); ++i)
    inputs.push_back({"rewards", config.rewards[i], "reward.safetensors", concat("reward_", i)});
  return {.command = "plan",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = inputs,
          .products = {"data.hdf5", "card.md"}};
}

Json run_plan(const PlanConfig& config) {
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    const DiffusionModel model = open_model(config.model, config.device);
    std::optional<DiffusionModel> expert;
    if (!config.expert.empty()) expert = open_model(config.expert, config.device);
    const Steering steering = steering_of(config, model, expert ? &*expert : nullptr);
    std::unique_ptr<VectorEnv> env = make_vector(
        with_texts(config.env), {.count = config.count,
                                 .threads = config.run.threads,
                                 .autoreset = "same_step",
                                 .max_steps = config.episode_steps > 0 ? config.episode_steps : -1});
    RecordedEnv* recorded = nullptr;  // a part of env
    if (config.record) {
      auto recording = std::make_unique<RecordedEnv>(std::move(env));
      recorded = recording.get();
      env = std::move(recording);
    }
    const auto observation = env->spec().observation.size(), action = env->spec().action.size();
    require(observation == static_cast<std::size_t>(model.layout().observation_dim) &&
                action == static_cast<std::size_t>(model.layout().action_dim),
            "model: expected one of ", config.env.id, "'s ", observation, " observations and ", action,
            " actions, found ", model.layout().observation_dim, " and ", model.layout().action_dim);
    Planner planner(model, config.sample, config.planner, steering.guide.get(), steering.judge.get());
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
                   {"led_by", led_by(to_json(config))},
                   {"plans", planner.plans()},
                   {"milliseconds_per_plan", 1e3 * seconds / static_cast<double>(planner.plans())},
                   {"episodes", {{"return", returns}, {"steps", steps}}}};
    std::vector<double> scores;
    for (const double task_return : returns) scores.push_back(env->spec().score(task_return));
    if (std::isfinite(scores.front())) result["score"] = bootstrap_mean({scores, {}}, {}).json();
    result.update(ends_of(env->spec(), outcomes));
    if (recorded != nullptr) {
      const CollectInfo info{
          .behaviour = "a diffusion model that plans, led by " + led_by(to_json(config)),
          .seed = config.sample.seed,
          .recording = Recording::kTraining,
          .env_options = with_texts(config.env).options,
          .extra = {{"agent", {{"planner", to_json(config.planner)}, {"sample", to_json(config.sample)}}},
                    {"episode_steps", config.episode_steps}}};
      result["data"] = describe_recording(recorded->write(info, folder / "data.hdf5"), folder);
    }
    return result;
  });
}

void plan_section(Page& page, std::span<const StepRecord> steps) {
  Table table{"Episodes of planners",
              {"", "sampler", "led by", "return", "score", "success", "milliseconds per plan"},
              {}};
  for (const StepRecord& step : steps) {
    const Json& sample = step.config.at("sample");
    const int denoising = sample.at("steps");
    const auto of = [&](const char* name) {
      return step.result.contains(name) ? with_interval(step.result.at(name)) : std::string("-");
    };
    table.rows.push_back({readable(step.name),
                          concat(sample.at("sampler").get<std::string>(), ", ",
                                 denoising == 0 ? std::string("all") : number(denoising), " steps"),
                          step.result.at("led_by"), with_interval(step.result.at("return")), of("score"),
                          of("success"), number(step.result.at("milliseconds_per_plan"))});
  }
  page.section("The model acts")
      .text("Plans are sampled from what an instance observes, and their first steps are carried out.")
      .table(table);
}

}  // namespace diffreward::cli
