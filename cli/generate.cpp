// diffreward generate: let an agent act and record what happens.
#include <algorithm>
#include <numeric>

#include "agents/arithmetic.h"
#include "agents/device.h"
#include "agents/trained.h"
#include "cli/command.h"
#include "cli/recording.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/safetensors.h"
#include "core/statistics.h"
#include "datasets/card.h"
#include "datasets/collect.h"
#include "datasets/join.h"
#include "datasets/recorded_task.h"
#include "datasets/scenes/scenes.h"
#include "datasets/windows.h"
#include "envs/engine.h"
#include "envs/vector_env.h"

namespace diffreward::cli {
namespace {

/// Whether an option of the environment takes any text, and this one is a file's name.
bool names_file(const EnvConfig& env, const std::string& option, const Json& value) {
  std::error_code ignored;
  if (!value.is_string() || !std::filesystem::is_regular_file(value.get<std::string>(), ignored))
    return false;
  const std::vector<FieldInfo> known = env_entry(env.id).options_help();
  return std::any_of(known.begin(), known.end(), [&](const FieldInfo& field) {
    return field.name == option && field.kind == "text" && field.choices.empty();
  });
}

}  // namespace

std::vector<StageInput> files_of(const EnvConfig& env) {
  std::vector<StageInput> files;
  for (const auto& [name, value] : env.options.items())
    if (names_file(env, name, value))
      files.push_back({"env.options." + name, value.get<std::string>(), name});
  return files;
}

EnvConfig with_texts(EnvConfig env) {
  for (const auto& [name, value] : env.options.items())
    if (names_file(env, name, value)) value = read_file(value.get<std::string>());
  return env;
}

Json describe_recording(const Dataset& data, const std::filesystem::path& folder) {
  const Json card = card_of(data);
  write_file(folder / "card.md", card_markdown(card));
  double total = 0;
  for (const float reward : data.rewards()) total += double{reward};
  Json told = {{"data", "data.hdf5"},
               {"card", "card.md"},
               {"env", data.provenance().env},
               {"transitions", data.size()},
               {"episodes", data.episodes().size()},
               {"reward_per_step", total / static_cast<double>(data.size())}};
  if (const std::vector<double> returns = whole_returns(data, recorded_task(data.provenance()));
      returns.size() > 1)
    told["return"] = bootstrap_mean({returns, {}}, {}).json();
  return told;
}

Dataset open_data(const std::string& path) {
  return Dataset::open(product(path, "data"));
}

namespace {

/// Instances and steps that give whole episodes: as many as were asked for, or the next more.
struct RecordingSize {
  int count;
  std::size_t steps;
};

RecordingSize size_of(const GenerateConfig& config) {
  const auto asked = static_cast<std::size_t>(config.steps);
  if (!config.whole_episodes) return {config.count, asked};
  const auto episode = static_cast<std::size_t>(
      config.episode_steps > 0 ? config.episode_steps : env_entry(config.env.id).max_steps);
  const std::size_t episodes = (asked + episode - 1) / episode;
  const auto count = std::min(static_cast<std::size_t>(config.count), episodes);
  const std::size_t each = (episodes + count - 1) / count;
  return {static_cast<int>(count), count * each * episode};
}

bool is_expert(const GenerateConfig& config) {
  return config.role.empty() ? is_directed(config.env) : config.role == "expert";
}

bool is_scripted(const std::string& policy) {
  const std::vector<AgentInfo> scripted = scripted_agents();
  return std::ranges::any_of(scripted, [&](const AgentInfo& agent) { return agent.name == policy; });
}

/// The product that a saved agent's folder stands for: an agent that learned, or a diffusion model.
const char* agent_product(const std::string& policy) {
  std::error_code ignored;
  const bool model = std::filesystem::is_regular_file(stage_folder(policy) / "model.safetensors", ignored);
  return model ? "model.safetensors" : "agent.safetensors";
}

/// Throws UsageError where nobody has that name and nothing is there.
void check_policy(const std::string& policy) {
  std::error_code ignored;
  if (is_scripted(policy) || std::filesystem::exists(stage_folder(policy), ignored)) return;
  std::vector<std::string> names = trained_agents();
  for (const AgentInfo& agent : scripted_agents()) names.push_back(agent.name);
  throw UsageError(
      concat("policy: ", unknown_name("agent", policy, names), " (and no saved agent is there)"));
}

std::string minari_id(const GenerateConfig& config) {
  return concat("diffreward/", config.env.id, "/", is_expert(config) ? "expert" : "base", "-v0");
}

/// What the file tells of who acted in `env`.
Json agent_settings(const GenerateConfig& config, const EnvConfig& env) {
  Json settings = {{"policy", config.policy}};
  const Json all = to_json(config.agents);
  if (all.contains(config.policy)) settings.update(all.at(config.policy));
  if (is_scripted(config.policy)) return settings;
  const auto file = product(config.policy, agent_product(config.policy));
  const bool plans = Safetensors::open(file).metadata_at("kind") == DiffusionModel::kKind;
  if (plans)
    settings.update(to_json(config.acting));
  else
    settings["stochastic"] = config.acting.stochastic;
  settings["file_sha256"] = sha256_of(file);
  if (std::error_code ignored; std::filesystem::is_directory(stage_folder(config.policy), ignored)) {
    // How it was made, and what it earned where it was judged.
    const Json record = stage_record(config.policy);
    settings["commit"] = record.at("commit");
    const Json& result = record.at("result");
    for (const char* key : {"algorithm", "env_steps"})
      if (result.contains(key)) settings[key] = result.at(key);
    const Json& made = record.at("key").at("config");
    if (result.value("env", Json()) != to_json(env) || made.value("episode_steps", 0) != config.episode_steps)
      return settings;  // it was judged in another task
    if (result.contains("judges") && result.at("judges").contains("task"))
      settings["return_deterministic"] = result.at("judges").at("task").at("return");
    if (result.contains("stochastic")) settings["return_stochastic"] = result.at("stochastic").at("return");
  }
  return settings;
}

}  // namespace

namespace {

constexpr std::size_t kProbedScenes = 16;  // whose pixels tell a machine's arithmetic of drawing

bool draws_scenes(const GenerateConfig& config) {
  return config.env.id == kEmojiScenes;
}

/// Throws UsageError for options that say nothing of what is made: of scenes where somebody acts, of acting where scenes
/// are drawn.
void check_options(const GenerateConfig& config) {
  const bool scenes = draws_scenes(config);
  const std::vector<FieldInfo> plain = fields(GenerateConfig{}), given = fields(config);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string& name = given[i].name;
    const bool of_scenes = name.starts_with("scenes.");
    const bool of_both =
        name == "env.id" || name == "seed" || name == "out" || name == "threads" || name == "reuse";
    if (given[i].value == plain[i].value || of_both || of_scenes == scenes) continue;
    if (!scenes)
      throw UsageError(concat(flag_of(name), ": expected it with --env ", kEmojiScenes, " alone, got --env ",
                              config.env.id));
    const bool has_twin = std::ranges::count(given, "scenes." + name, &FieldInfo::name) == 1;
    throw UsageError(concat(flag_of(name), ": expected ",
                            has_twin ? flag_of("scenes." + name) : "options of scenes", " with --env ",
                            kEmojiScenes, ", where nobody acts"));
  }
}

SceneGenerator scene_generator(const GenerateConfig& config) {
  return {Atlas::open(config.scenes.atlas), config.scenes, config.seed};
}

/// What is told of scenes in a stage's folder.
Json describe_scenes(const GenerateConfig& config, const ImageSet& data,
                     const std::filesystem::path& folder) {
  const Json card = card_of(data);
  write_file(folder / "card.md", image_card_markdown(card));
  write_png(folder / "pictures.png", picture_sheet(data, 0, 64));
  return {{"data", "data.hdf5"},
          {"card", "card.md"},
          {"sheet", "pictures.png"},
          {"env", data.provenance().env},
          {"split", config.scenes.split},
          {"pictures", data.size()},
          {"captions", card.at("captions")},
          {"concepts", card.at("concepts")},
          {"look_alikes", card.at("look_alikes")}};
}

/// What a whole recording of somebody who acts and its shards have in common.
struct RecordingSetup {
  EnvConfig env;
  bool scripted;
  CollectInfo info;

  explicit RecordingSetup(const GenerateConfig& config)
      : env(with_texts(config.env)), scripted(is_scripted(config.policy)) {
    const bool expert = is_expert(config);
    if (!expert) env.options = undirected_options(env);
    info = {.behaviour = concat(scripted ? config.policy : "saved agent",
                                expert ? " with one task" : " with any task"),
            .seed = config.seed,
            .recording = expert ? (config.held_out ? Recording::kHeldOutExpert : Recording::kExpert)
                                : (config.held_out ? Recording::kHeldOutBase : Recording::kBase),
            .env_options = env.options,
            .extra = {{"agent", agent_settings(config, env)},
                      {"episode_steps", config.episode_steps},
                      {"engine", engine_versions()}},
            .log_probabilities = config.log_probabilities};
  }

  std::unique_ptr<VectorEnv> instances(const GenerateConfig& config, int count) const {
    return make_vector(env, {.count = count,
                             .threads = config.run.threads,
                             .autoreset = "same_step",
                             .max_steps = config.episode_steps > 0 ? config.episode_steps : -1});
  }
};

/// Records instances [first, first + count), each for so many steps.
void record_instances(const GenerateConfig& config, std::uint64_t first, int count, std::size_t steps,
                      const std::filesystem::path& file, bool shard) {
  RecordingSetup setup(config);
  setup.info.first_instance = first;
  setup.info.shard = shard;
  const auto envs = setup.instances(config, count);
  const Streams noise = streams_of(setup.info.recording, config.seed, Purpose::kController);
  std::unique_ptr<Agent> agent;
  if (setup.scripted) {
    agent = make_agent(config.policy, config.agents, *envs, noise.skip(first));
  } else {
    check_device(config.device);
    set_torch_threads(config.run.threads);
    agent = load_agent(product(config.policy, agent_product(config.policy)), *envs, noise, config.acting,
                       config.device, first);
  }
  collect(*envs, *agent, static_cast<std::size_t>(count) * steps, setup.info, file);
}

/// Steps of each instance.
std::size_t length_of(const RecordingSize& size) {
  const auto count = static_cast<std::size_t>(size.count);
  return (size.steps + count - 1) / count;
}

/// The result of a stage that has recorded, whoever did; writes what else it makes.
Json finish_recording(const GenerateConfig& config, const std::filesystem::path& folder) {
  if (draws_scenes(config)) return describe_scenes(config, ImageSet::open(folder / "data.hdf5"), folder);
  const Dataset data = Dataset::open(folder / "data.hdf5");
  Json result = describe_recording(data, folder);
  if (data.size() != static_cast<std::size_t>(config.steps))
    result["rounded"] = concat(config.steps, " steps were asked for, ", data.size(),
                               config.whole_episodes ? " are whole episodes" : " are as many an instance");
  if (config.format == "minari") {
    data.write_minari(folder, minari_id(config));
    result["minari"] = minari_id(config) + "/data/main_data.hdf5";
  }
  return result;
}

}  // namespace

StageSpec stage_of(const GenerateConfig& config) {
  check_options(config);
  if (draws_scenes(config)) {
    GenerateConfig resolved = config;  // by the drawings, which are no part of the program's sources
    resolved.scenes = scene_generator(config).config();
    return {.command = "generate",
            .config = to_json(resolved),
            .folder = config.run.out,
            .reuse = config.run.reuse,
            .inputs = {},
            .products = {"data.hdf5", "card.md", "pictures.png"},
            .link = Link::kAgents};
  }
  StageSpec stage{.command = "generate",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = files_of(config.env),
                  .products = {"data.hdf5", "card.md"},
                  .link = Link::kAgents};
  if (!is_scripted(config.policy))
    stage.inputs.push_back({"policy", config.policy, agent_product(config.policy)});
  if (config.format == "minari")
    for (const char* file : {"/data/main_data.hdf5", "/data/metadata.json"})
      stage.products.push_back(minari_id(config) + file);
  return stage;
}

Json run_generate(const GenerateConfig& config) {
  check_options(config);
  if (!draws_scenes(config)) check_policy(config.policy);
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    const std::filesystem::path file = folder / "data.hdf5";
    if (draws_scenes(config)) {
      record_scenes(scene_generator(config), file, config.run.threads);
    } else {
      const RecordingSize size = size_of(config);
      record_instances(config, 0, size.count, length_of(size), file, false);
    }
    return finish_recording(config, folder);
  });
}

StreamSize stream_size(const GenerateConfig& config) {
  check_options(config);
  if (draws_scenes(config)) {
    const SceneConfig scenes = scene_generator(config).config();
    const auto pixels = static_cast<std::size_t>(scenes.size) * static_cast<std::size_t>(scenes.size);
    return {static_cast<std::uint64_t>(scenes.count), 1,
            pixels * 4 + ImageSet::kLongestText + ImageSet::kMostObjects * 5 * sizeof(float)};
  }
  check_policy(config.policy);
  const RecordingSize size = size_of(config);
  const RecordingSetup setup(config);
  const auto envs = setup.instances(config, 1);
  return {static_cast<std::uint64_t>(size.count), length_of(size), recorded_row_bytes(*envs, setup.info)};
}

std::vector<std::pair<std::string, std::string>> arithmetic_of(const GenerateConfig& config) {
  if (draws_scenes(config)) {
    const ImageSet::Columns drawn = scene_generator(config).make(0, kProbedScenes);
    return {{"scenes", sha256({reinterpret_cast<const char*>(drawn.images.data()), drawn.images.size()})}};
  }
  if (is_scripted(config.policy)) return {};
  return {{"libtorch", tensor_arithmetic()}};
}

void record_streams(const GenerateConfig& config, const StreamRange& streams,
                    const std::filesystem::path& file) {
  if (draws_scenes(config))
    return record_scenes(scene_generator(config), streams.begin, streams.size(), file, config.run.threads);
  record_instances(config, streams.begin, static_cast<int>(streams.size()), length_of(size_of(config)), file,
                   true);
}

Json merge_recording(const GenerateConfig& config, const ShardFolder& shards,
                     const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "data.hdf5";
  if (draws_scenes(config)) {
    merge_scenes(scene_generator(config), shards, file);
  } else {
    const RecordingSetup setup(config);
    const auto envs = setup.instances(config, 1);
    merge_recordings(*envs, setup.info, shards, file);
  }
  return finish_recording(config, folder);
}

StageSpec stage_of(const JoinConfig& config) {
  StageSpec stage{.command = "join",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = {},
                  .products = {"data.hdf5", "card.md"},
                  .link = Link::kAgents};
  for (std::size_t i = 0; i < config.data.size(); ++i)
    stage.inputs.push_back({"data", config.data[i], "data", concat(i)});
  return stage;
}

namespace {

/// The episodes of a data set that are asked for.
Dataset part_of(const Dataset& data, const JoinConfig& config) {
  if (config.part == "all" && config.episodes == 0) return data;
  std::vector<std::size_t> episodes(data.episodes().size());
  std::iota(episodes.begin(), episodes.end(), std::size_t{0});
  if (config.part != "all") {
    Split split = split_episodes(data, config.held_out, config.seed);
    episodes = config.part == "train" ? std::move(split.train) : std::move(split.test);
  }
  const auto wanted = static_cast<std::size_t>(config.episodes);
  if (wanted > 0 && wanted < episodes.size()) episodes.resize(wanted);
  require(!episodes.empty(), data.path().string(), ": expected episodes of the part ", config.part,
          ", found none of ", data.episodes().size());
  return select_episodes(data, episodes);
}

}  // namespace

Json run_join(const JoinConfig& config) {
  require(!config.data.empty(), "data: expected data sets, got none");
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    std::vector<Dataset> parts;
    for (const std::string& path : config.data) parts.push_back(part_of(open_data(path), config));
    return describe_recording(join(parts, folder / "data.hdf5"), folder);
  });
}

void generate_section(Page& page, std::span<const StepRecord> steps) {
  Table table{"Recordings", {"", "environment", "transitions", "episodes", "reward per step"}, {}};
  Table pictures{"Pictures", {"", "of", "split", "pictures", "with a caption"}, {}};
  for (const StepRecord& step : steps)
    if (step.result.contains("pictures"))
      pictures.rows.push_back({readable(step.name), step.result.at("env"), step.result.at("split"),
                               number(step.result.at("pictures")), number(step.result.at("captions"))});
    else
      table.rows.push_back({readable(step.name), step.result.at("env"), number(step.result.at("transitions")),
                            number(step.result.at("episodes")), number(step.result.at("reward_per_step"))});
  page.section("Recorded behaviour");
  if (!table.rows.empty())
    page.text(
            "Base data says what is possible, expert data what is wanted; data to test on share no random "
            "number with the rest.")
        .table(table);
  if (!pictures.rows.empty())
    page.text("Pictures of other splits than training's share no random number with it.").table(pictures);
}

}  // namespace diffreward::cli
