// The stages of a job, each a config, a StageSpec and a function: what the subcommands run, and the steps of
// a job file (cli/job.h):  generate, join -> train -> extract -> evaluate -> rl -> steer, plan.
//
// Paths given as inputs may be a stage's folder; it stands for the product in it.
#pragma once

#include <string>
#include <vector>

#include "agents/catalog.h"
#include "agents/diffusion/diffusion_model.h"
#include "cli/stage.h"
#include "core/config.h"
#include "datasets/scenes/scenes.h"
#include "envs/catalog.h"
#include "rewards/evaluate/evaluate.h"
#include "rewards/reading.h"

namespace diffreward::cli {

/// Where a stage writes and how it runs; the last fields of every stage's config.
struct RunConfig {
  std::string out;     // folder
  int threads = 0;     // 0: one per core
  bool reuse = false;  // return the recorded result if the folder holds this very stage

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("out", self.out, "folder for the products");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
    field("reuse", self.reuse, "keep a finished stage of the same config and inputs");
  }
};

struct GenerateConfig {
  EnvConfig env;
  std::string policy = "waypoints";  // a scripted or trained agent's name, or a saved one's file or folder
  std::string role;                  // base, expert; empty: expert where the options say which task is wanted
  std::int64_t steps = 600'000;      // transitions
  int count = 512;                   // instances recorded side by side
  int episode_steps = 200;           // steps until the next start; 0: the environment's own limit
  bool whole_episodes = true;        // fewer instances and more steps, until every episode is whole
  bool held_out = false;             // to test on: no random number of the recording to train on
  bool log_probabilities = false;    // a column of them
  std::string format = "d4rl";       // d4rl or minari
  std::uint64_t seed = 0;            // of starts, goals and what the agent draws
  ScriptedAgents agents;
  ActingConfig acting;
  std::string device = "cpu";  // of a saved agent
  SceneConfig scenes;          // of env kEmojiScenes, where nobody acts
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "what is recorded");
    field(
        "policy", self.policy,
        "who acts: one of `diffreward catalog agents`, or a saved agent or diffusion model (file or folder)");
    field("role", self.role,
          "the side of a pair that is recorded; empty for expert where the options of the environment say "
          "which task is wanted, and base where they do not",
          Choices{"", "base", "expert"});
    field("steps", self.steps, "transitions to record", Bounds{1, 1e12});
    field("count", self.count, "instances recorded side by side", Bounds{1, 1 << 20});
    field("episode_steps", self.episode_steps, "steps per episode, 0 for the environment's own",
          Bounds{0, 1e9});
    field("whole_episodes", self.whole_episodes,
          "round steps up to whole episodes, by fewer instances where these are too many");
    field("held_out", self.held_out,
          "a recording to test on: it shares no random number with the one to train on");
    field("log_probabilities", self.log_probabilities,
          "record log pi(action | observation) too, of an agent that draws its actions");
    field("format", self.format, "file format", Choices{"d4rl", "minari"});
    field("seed", self.seed, "seed of starts, goals and what the agent draws at random");
    ScriptedAgents::visit(self.agents, field);
    ActingConfig::visit(self.acting, field);
    field("device", self.device, "of a saved agent, cpu or cuda", Choices{"cpu", "cuda"});
    field("scenes", self.scenes, "pictures with captions, of env EmojiScenes-64, where nobody acts");
    RunConfig::visit(self.run, field);
  }
};

struct JoinConfig {
  std::vector<std::string> data;  // data sets or generate's folders
  std::string part = "all";       // of their episodes: all, train or held_out
  double held_out = 0.1;          // share of the episodes that are held out, drawn at random
  std::int64_t episodes = 0;      // the first ones of each; 0: all
  std::uint64_t seed = 0;         // of what is held out
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("data", self.data, "data sets of one environment, whose rows follow each other");
    field("part", self.part, "which of their episodes: all, those to train on, or those held out",
          Choices{"all", "train", "held_out"});
    field("held_out", self.held_out, "share of the episodes of each that is held out, drawn at random",
          Bounds{0.001, 0.999});
    field("episodes", self.episodes, "at most so many episodes of each, the first ones; 0 for all",
          Bounds{0, 1e9});
    field("seed", self.seed, "seed of what is held out");
    RunConfig::visit(self.run, field);
  }
};

struct TrainConfig {
  std::string data;   // data set or generate's folder
  std::string start;  // model to fine-tune; empty: from scratch
  DiffusionConfig model;
  DiffusionTrainConfig train;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("data", self.data, "data set: a file, a Minari folder or the folder of generate");
    field("start", self.start, "model to fine-tune (its settings win); empty for a fresh one");
    field("model", self.model, "the model, where it is a fresh one");
    DiffusionTrainConfig::visit(self.train, field);
    RunConfig::visit(self.run, field);
  }
};

/// Names in reward_catalog().
std::vector<std::string> names_of_rewards();
/// Names of the agents that learn.
std::vector<std::string> names_of_learners();

struct ExtractStageConfig {
  std::string expert, base;            // models or train's folders
  std::string expert_data, base_data;  // data sets or generate's folders
  std::string method = "relative";     // of reward_catalog()
  ExtractConfig extract;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("expert", self.expert, "expert model");
    field("base", self.base, "base model");
    field("expert_data", self.expert_data, "data of the expert");
    field("base_data", self.base_data, "data of the base");
    field("method", self.method, "which reward: `diffreward catalog rewards`", Choices(names_of_rewards()));
    ExtractConfig::visit(self.extract, field);
    RunConfig::visit(self.run, field);
  }
};

struct RlConfig {
  EnvConfig env;
  std::string algorithm = "ppo";  // of learning_agents()
  std::string reward;             // reward file or extract's folder; empty: the task's own
  ReadingConfig reading;
  std::string anchor;  // clone of the base (rl --algorithm bc) that a paid agent stays near; empty: none
  double anchor_weight = 1;            // nats of divergence from it are worth that much of the reward
  Json judges = Json::object();        // of the agent: options of env for each, by name
  int count = 128;                     // instances
  std::int64_t env_steps = 1'310'720;  // environment steps in all
  std::int64_t evaluate_every = 0;     // environment steps between evaluations while it learns; 0: none
  int evaluate_episodes = 100;         // of each, starts that nothing is reported on
  std::string keep = "last";           // the agent at the end, or the best one evaluated
  double stop_at = 0;                  // end when an evaluation returns that much; 0: never
  std::int64_t checkpoint_every = 1'000'000;  // environment steps; 0: none
  bool record = false;                        // keep every transition of training as a data set
  int episodes = 256;                         // evaluation episodes
  bool judge_draws = false;                   // once more with actions drawn from the policy
  int episode_steps = 0;                      // of all episodes; 0: the environment's own limit
  std::uint64_t seed = 0;                     // of weights, actions and starts, in training and evaluation
  std::string device = "cpu";
  LearningAgents learners;
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "where it is trained");
    field("algorithm", self.algorithm, "how it learns", Choices(names_of_learners()));
    field("reward", self.reward, "reward to train on; empty for the task's own");
    field("reading", self.reading, "how that reward is paid out");
    field("anchor", self.anchor,
          "clone of the base that the agent stays near, its log density paid beside the reward; empty for "
          "none");
    field("anchor_weight", self.anchor_weight, "of that log density, and the price of SAC's entropy",
          Bounds{1e-9, 1e9});
    field("judges", self.judges,
          "tasks that judge the agent: a name each, with options beside those of the environment; empty for "
          "the environment as it is, named task");
    field("count", self.count, "instances", Bounds{1, 1 << 20});
    field("env_steps", self.env_steps, "environment steps of training, all instances", Bounds{1, 1e12});
    field("evaluate_every", self.evaluate_every,
          "environment steps between evaluations while it learns, by the task's own reward; 0 for none",
          Bounds{0, 1e12});
    field("evaluate_episodes", self.evaluate_episodes,
          "episodes of each, whole, from starts that nothing is reported on", Bounds{1, 1e6});
    field("keep", self.keep, "the agent that is kept: the last, or the best of those evaluated",
          Choices{"last", "best"});
    field("stop_at", self.stop_at, "end training when an evaluation returns that much; 0 for never");
    field("checkpoint_every", self.checkpoint_every,
          "environment steps between checkpoints, from which a stopped run goes on; 0 for none",
          Bounds{0, 1e12});
    field("record", self.record, "keep every transition of training as a data set");
    field("episodes", self.episodes, "evaluation episodes", Bounds{1, 1e6});
    field("judge_draws", self.judge_draws, "evaluate once more with actions drawn from the policy");
    field("episode_steps", self.episode_steps, "steps per episode, 0 for the environment's own",
          Bounds{0, 1e9});
    field("seed", self.seed, "seed of weights, actions and starts");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    LearningAgents::visit(self.learners, field);
    RunConfig::visit(self.run, field);
  }
};

struct EvaluateConfig {
  std::vector<std::string> rewards;    // extract's folders or reward files; "task" for the environment's own
  std::string expert_data, base_data;  // recordings that nothing was fitted to
  RewardEvaluationConfig evaluation;
  int width = 480;  // of pictures, pixels
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("rewards", self.rewards, "rewards to evaluate, side by side; task for the environment's own");
    field("expert_data", self.expert_data, "recordings of the expert that nothing was fitted to: the task");
    field("base_data", self.base_data, "recordings of the base that nothing was fitted to");
    RewardEvaluationConfig::visit(self.evaluation, field);
    field("width", self.width, "of pictures, pixels", Bounds{64, 8192});
    RunConfig::visit(self.run, field);
  }
};

struct SteerConfig {
  std::string base, expert;            // models that take a first observation (train --condition-probability)
  std::string reward;                  // guide
  std::string expert_data, base_data;  // the task; what steps look like, and where starts are
  std::string units =
      "reward";       // of the guide: grad rho as it is, or difference: s_t grad rho, an expert's step
  int samples = 512;  // trajectories per model
  int width = 480;    // of pictures, pixels
  SampleConfig sample{.scale = 1, .stop_guide_below = 5};
  std::string device = "cpu";
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("base", self.base, "base model, the one that is steered");
    field("expert", self.expert, "expert model, to compare with");
    field("reward", self.reward, "reward that guides");
    field("expert_data", self.expert_data, "data of the expert: the task");
    field("base_data", self.base_data, "data of the base: typical steps and starts");
    field("units", self.units, "the gradient of rho as it is, or scaled to an estimate of the expert's step",
          Choices{"reward", "difference"});
    field("samples", self.samples, "trajectories per model", Bounds{1, 1e6});
    field("width", self.width, "of pictures, pixels", Bounds{64, 8192});
    field("sample", self.sample, "the sampler");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    RunConfig::visit(self.run, field);
  }
};

struct PlanConfig {
  std::string model;                 // takes a first observation (train --condition-probability)
  std::vector<std::string> rewards;  // guide, several as an ensemble; empty: the model acts by itself
  std::string expert;                // model whose difference from `model` guides in a reward's place
  std::string units = "reward";      // of the guide: reward, difference or probability
  double pessimism = 0;              // of an ensemble: deviations below its mean
  std::string judge = "rewards";     // of candidates: rewards or likelihood
  EnvConfig env;
  int count = 64;  // instances planned side by side
  int episodes = 256;
  int episode_steps = 0;  // 0: the environment's own limit
  bool record = false;    // keep every transition as a data set
  PlannerConfig planner;
  SampleConfig sample{.scale = 1};
  std::string device = "cpu";
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("model", self.model, "model that plans");
    field("rewards", self.rewards, "rewards that guide it, several as an ensemble; empty for none");
    field("expert", self.expert,
          "model whose difference from the one that plans guides it in place of a reward: the field that "
          "rewards are "
          "extracted from");
    field("units", self.units,
          "of the guide: the reward's gradient as it is, scaled to an estimate of the expert's step, or that "
          "of a "
          "classifier's probability",
          Choices{"reward", "difference", "probability"});
    field("pessimism", self.pessimism, "of an ensemble: so many deviations below its mean", Bounds{0, 100});
    field("judge", self.judge,
          "of candidates: the rewards, as log density ratios in nats, or the likelihood that the model "
          "itself gives them",
          Choices{"rewards", "likelihood"});
    field("env", self.env, "where it acts");
    field("count", self.count, "instances planned side by side", Bounds{1, 1 << 20});
    field("episodes", self.episodes, "episodes", Bounds{1, 1e6});
    field("episode_steps", self.episode_steps, "steps per episode, 0 for the environment's own",
          Bounds{0, 1e9});
    field("record", self.record, "keep every transition as a data set");
    field("planner", self.planner, "how plans are followed");
    field("sample", self.sample, "the sampler");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
    RunConfig::visit(self.run, field);
  }
};

struct FilmConfig {
  std::vector<std::string> data;   // recordings of robots, or stages that hold one
  std::vector<std::string> names;  // of each in the film; empty: their folders'
  int episode = 0;                 // which of each
  int steps = 0;                   // at most so many; 0: the longest episode's
  int every = 1;                   // steps between frames
  int width = 320;                 // of each frame, pixels
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("data", self.data, "recordings of robots, next to each other");
    field("names", self.names, "of each in the film, empty for their folders'");
    field("episode", self.episode, "which episode of each, 0 for the first", Bounds{0, 1e9});
    field("steps", self.steps, "at most so many steps, 0 for the longest episode's", Bounds{0, 1e9});
    field("every", self.every, "steps between frames", Bounds{1, 1e6});
    field("width", self.width, "of each frame, even pixels", Bounds{64, 1024});
    RunConfig::visit(self.run, field);
  }
};

// What each makes, and from what.
StageSpec stage_of(const GenerateConfig& config);
StageSpec stage_of(const JoinConfig& config);
StageSpec stage_of(const TrainConfig& config);
StageSpec stage_of(const ExtractStageConfig& config);
StageSpec stage_of(const EvaluateConfig& config);
StageSpec stage_of(const RlConfig& config);
StageSpec stage_of(const SteerConfig& config);
StageSpec stage_of(const PlanConfig& config);
StageSpec stage_of(const FilmConfig& config);

Json run_generate(const GenerateConfig& config);
Json run_join(const JoinConfig& config);
Json run_train(const TrainConfig& config);
Json run_extract(const ExtractStageConfig& config);
Json run_evaluate(const EvaluateConfig& config);
Json run_rl(const RlConfig& config);
Json run_steer(const SteerConfig& config);
/// Episodes of a Planner: returns, the share that ends in success where the environment tells it, and each
/// episode's figures.
Json run_plan(const PlanConfig& config);
/// A film of one episode of each recording, and moments of them as a picture.
Json run_film(const FilmConfig& config);

/// The files that options of an environment name (a maze's map).
std::vector<StageInput> files_of(const EnvConfig& env);
/// The same environment with these files' texts in place of their names: what a recording can be told by.
EnvConfig with_texts(EnvConfig env);

/// How episodes end, where the environment tells it: `success` (share, with interval), `final_distance`
/// (quantiles) and `final_distances` (of each episode).
Json ends_of(const EnvSpec& spec, const std::vector<EpisodeOutcome>& outcomes);

/// The part of a stage's result that tells of the data set that it wrote into its folder: `data`, `env`, `transitions`,
/// `episodes`, `reward_per_step`, `return` (of whole episodes, where there are some); writes `card.md` beside it.
Json describe_recording(const Dataset& data, const std::filesystem::path& folder);

/// Opens what a path stands for (a product or its stage's folder).
Dataset open_data(const std::string& path);
DiffusionModel open_model(const std::string& path, const std::string& device);

}  // namespace diffreward::cli
