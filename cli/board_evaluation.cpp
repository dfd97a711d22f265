#include "cli/board_evaluation.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "agents/catalog.h"
#include "agents/device.h"
#include "cli/image.h"
#include "cli/stages.h"
#include "core/statistics.h"
#include "datasets/scenes/scenes.h"
#include "leaderboard/tasks.h"
#include "rewards/image/picture_latents.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

std::string file_of(const BoardSubject& subject, const std::string& role) {
  const auto found = subject.files.find(role);
  require(found != subject.files.end(), subject.kind, ": expected a file for ", role, ", found none");
  return found->second.string();
}

std::vector<BoardEpisode> episodes_of(const std::vector<double>& scores, const std::vector<int>& steps) {
  std::vector<BoardEpisode> out;
  for (std::size_t i = 0; i < scores.size(); ++i)
    out.push_back({static_cast<std::int64_t>(i), scores[i], steps[i]});
  return out;
}

std::vector<BoardEpisode> of_agent(const BoardTask& task, const BoardSubject& subject, int threads) {
  const StreamPool pool = pool_of(task);
  expect_metric(task);
  const auto env = make_vector(with_texts({task.env, task.options}),
                               {.count = pool.instances,
                                .threads = threads,
                                .autoreset = "same_step",
                                .max_steps = pool.episode_steps > 0 ? pool.episode_steps : -1});
  const Streams noise(Purpose::kBehaviour, pool.seed, subject.kind == "scripted" ? subject.seed : 0);
  std::unique_ptr<Agent> agent;
  if (subject.kind == "scripted") {
    ScriptedAgents settings;
    update(settings, subject.config.value("agents", Json::object()));
    agent = make_agent(member<std::string>(subject.config, "policy"), settings, *env, noise);
  } else {
    ActingConfig acting;
    update(acting, subject.config.value("acting", Json::object()));
    set_torch_threads(threads);
    agent = load_agent(file_of(subject, "agent"), *env, noise, acting);
  }
  std::vector<double> returns;
  std::vector<int> steps;
  for (const EpisodeOutcome& outcome : evaluate_agent(*env, *agent, pool.episodes, pool.seed)) {
    returns.push_back(outcome.task_return);
    steps.push_back(outcome.steps);
  }
  return episodes_of(returns, steps);
}

std::vector<BoardEpisode> of_planner(const BoardTask& task, const BoardSubject& subject, int threads) {
  const StreamPool pool = pool_of(task);
  const ScratchFolder scratch;
  PlanConfig config;
  update(config, subject.config);
  config.model = file_of(subject, "model");
  if (subject.files.contains("expert")) config.expert = file_of(subject, "expert");
  for (int i = 0; subject.files.contains(concat("reward_", i)); ++i)
    config.rewards.push_back(file_of(subject, concat("reward_", i)));
  config.env = {task.env, task.options};
  config.count = pool.instances;
  config.episodes = pool.episodes;
  config.episode_steps = pool.episode_steps;
  config.record = false;
  config.device = "cpu";  // equal bits are asked for
  config.sample.seed = pool.seed;
  config.run = {.out = (scratch.path() / "plan").string(), .threads = threads};
  const Json episodes = run_plan(config).at("episodes");
  return episodes_of(episodes.at("return").get<std::vector<double>>(),
                     episodes.at("steps").get<std::vector<int>>());
}

double number_at(const Json& result, const std::string& pointer) {
  const Json& value = result.at(Json::json_pointer(pointer));
  return value.is_number() ? value.get<double>() : std::nan("");
}

/// The figures of a reward, on recordings that are made for them: a wanderer's and a walker's, of streams that nothing
/// else draws from.
Json judged(const BoardTask& task, const BoardSubject& subject, int threads) {
  const StreamPool pool = pool_of(task);
  const ScratchFolder scratch;
  GenerateConfig base;
  base.env = {task.env, {{"random_goal", true}, {"start_jitter", 0.8}, {"goal_jitter", 0.8}}};
  base.role = "base";
  base.count = pool.instances;
  base.episode_steps = pool.episode_steps;
  base.steps = std::int64_t{pool.episodes} * pool.episode_steps;
  base.held_out = true;
  base.seed = pool.seed;
  base.run = {.out = (scratch.path() / "base").string(), .threads = threads};
  GenerateConfig expert = base;
  expert.env.options = task.options;
  expert.env.options["start_jitter"] = 0.8;
  expert.role = "expert";
  expert.run.out = (scratch.path() / "expert").string();
  run_generate(base);
  run_generate(expert);
  EvaluateConfig config;
  config.rewards = {file_of(subject, "reward")};
  config.expert_data = expert.run.out;
  config.base_data = base.run.out;
  config.evaluation.stretch = 0;
  config.width = 64;
  config.run = {.out = (scratch.path() / "evaluate").string(), .threads = threads};
  const Json rewards = run_evaluate(config).at("rewards");
  return rewards.begin().value();
}

/// Of rewards: where an evaluation has it.
const std::map<std::string, std::string>& figure_places() {
  static const std::map<std::string, std::string> places = {{"peak_to_goal", "/heatmap/peak_to_goal"},
                                                            {"rank_correlation", "/heatmap/rank_correlation"},
                                                            {"auroc", "/separation/auroc/value"},
                                                            {"epic_to_dense", "/epic/dense"}};
  return places;
}

std::vector<BoardEpisode> figure_of(const BoardTask& task, const Json& figures) {
  expect_metric(task);
  const auto place = figure_places().find(task.metric);
  return {{0, number_at(figures, place->second), 0}};
}

/// How a reward of pictures tells scenes with the task's concept from the others: an area under the ROC curve for each
/// block, since blocks share no scene. Not-a-number where one has scenes of one kind alone.
std::vector<BoardEpisode> of_pictures(const BoardTask& task, const BoardSubject& subject) {
  expect_metric(task);
  const StreamPool pool = pool_of(task);
  const SceneGenerator scenes(Atlas::open(), scenes_of(task), pool.seed);
  const int side = scenes.config().size;
  const auto reward = ImageReward::load(file_of(subject, "reward"));
  const fs::path pipeline = fs::path(file_of(subject, kAutoencoder)).parent_path().parent_path();
  // Nets of small pictures gain nothing by more threads, and equal bits are asked for.
  const StableDiffusion model = load_model({pipeline.string()}, /*threads=*/1);
  require(picture_side(*reward, model) == side, "task ", task.name, ": expected a reward of pictures of ",
          side, " x ", side, ", found one of ", picture_side(*reward, model));
  const auto pictures = static_cast<std::size_t>(pool.instances);
  std::vector<BoardEpisode> blocks;
  for (std::int64_t block = 0; block < pool.episodes; ++block) {
    ImageSet::Columns columns = scenes.make(static_cast<std::size_t>(block) * pictures, pictures);
    columns.drawings = scenes.atlas().drawings();
    const ImageSet set = ImageSet::from_columns(std::move(columns));
    const std::vector<double> scores = PictureLatents::encode(model, images_of(set)).score(*reward);
    std::vector<double> here, absent;  // rewards fall where the concept is
    for (std::size_t i = 0; i < scores.size(); ++i)
      (set.holds(i, scenes.config().target) ? here : absent).push_back(-scores[i]);
    const bool told = !here.empty() && !absent.empty() &&
                      std::ranges::all_of(scores, [](double score) { return std::isfinite(score); });
    blocks.push_back({block, told ? auroc(here, absent) : std::nan(""), 0});
  }
  return blocks;
}

}  // namespace

std::string task_kind_of(const std::string& kind) {
  return kind == "reward" || kind == "image_reward" ? kind : "behaviour";
}

void expect_metric(const BoardTask& task) {
  if (task.kind == "image_reward")
    require(task.metric == "auroc", "task ", task.name, ": expected the metric auroc, found '", task.metric,
            "'");
  else if (task.kind == "reward")
    require(figure_places().contains(task.metric), "task ", task.name,
            ": metric: expected a figure of rewards, found '", task.metric, "'");
  else
    require(task.metric == "return", "task ", task.name, ": expected the metric return, found '", task.metric,
            "'");
}

ScratchFolder::ScratchFolder() {
  std::string name = (fs::temp_directory_path() / "diffreward_board_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw Error(concat(name, ": cannot create this folder"));
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::map<std::string, std::vector<BoardEpisode>> evaluate_on_all(const std::vector<BoardTask>& tasks,
                                                                 const BoardSubject& subject, int threads) {
  std::map<std::string, std::vector<BoardEpisode>> out;
  std::map<std::string, Json> figures;  // by what they depend on
  for (const BoardTask& task : tasks) {
    require(task.kind == task_kind_of(subject.kind), "task ", task.name, ": expected one for ",
            task_kind_of(subject.kind), ", found one for ", task.kind);
    if (subject.kind == "image_reward") {
      out[task.name] = of_pictures(task, subject);
    } else if (subject.kind == "reward") {
      const std::string key = Json({task.env, task.options, task.pool}).dump();
      if (!figures.contains(key)) figures[key] = judged(task, subject, threads);
      out[task.name] = figure_of(task, figures[key]);
    } else {
      out[task.name] =
          subject.kind == "planner" ? of_planner(task, subject, threads) : of_agent(task, subject, threads);
    }
  }
  return out;
}

std::vector<BoardEpisode> evaluate_on(const BoardTask& task, const BoardSubject& subject, int threads) {
  return evaluate_on_all({task}, subject, threads).begin()->second;
}

}  // namespace diffreward::cli
