#include "cli/board_submit.h"

#include <algorithm>
#include <set>

#include "agents/catalog.h"
#include "agents/stable_diffusion/pipeline_folder.h"
#include "cli/command.h"
#include "cli/sd.h"
#include "cli/stages.h"
#include "cli/toml.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/provenance.h"
#include "core/safetensors.h"
#include "core/shell.h"
#include "leaderboard/exports.h"
#include "rewards/catalog.h"
#include "rewards/image/image_reward.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStages[] = {"rl", "plan", "extract", "sd extract"};
constexpr int kDeepestFolder = 6;  // of a job's steps
/// Of a stage's config, what differs between its runs, or changes no behaviour.
constexpr const char* kOfTheRun[] = {"env",    "seed",     "out",    "threads",     "reuse",
                                     "judges", "episodes", "record", "judge_draws", "checkpoint_every",
                                     "run"};
/// Options of an environment that change how it is trained in, not which task it is.
constexpr const char* kOfTraining[] = {"reward", "start_jitter", "velocity_noise"};

template <std::size_t n>
bool among(const char* const (&names)[n], const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::string written(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string out;
  for (const Json& item : value) out += (out.empty() ? "" : ",") + written(item);
  return out;
}

Json config_of_run(Json config) {
  for (const char* name : kOfTheRun) config.erase(name);
  return config;
}

/// Whether a stage in this environment was about the task.
bool fits(const BoardTask& task, const std::string& env, const Json& options) {
  if (task.env != env) return false;
  for (const auto& [name, value] : options.items()) {
    if (among(kOfTraining, name)) continue;
    if (!task.options.contains(name) || task.options.at(name) != value) return false;
  }
  for (const auto& [name, value] : task.options.items())
    if (!options.contains(name) || options.at(name) != value) return false;
  return true;
}

std::uint64_t seed_in(const Json& config) {
  const auto found = config.find("seed");
  return found != config.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

/// The hashes of what a folder's stage was made from, and of what that was made from, where it is still there.
void add_lineage(const fs::path& folder, const std::string& prefix, int depth,
                 std::map<std::string, std::string>& inputs) {
  std::error_code ignored;
  if (depth == 0 || !fs::exists(folder / "stage.json", ignored)) return;
  const Json record = stage_record(folder.string());
  for (const auto& [role, hash] : record.at("key").at("inputs").items()) {
    std::string name = prefix + role;
    std::ranges::replace(name, '/', '.');  // of a pipeline's files
    if (hash.is_string()) inputs.emplace(name, hash.get<std::string>().substr(0, 64));
  }
  if (!fs::exists(folder / "config.toml", ignored)) return;
  const Json config = parse_toml(read_file(folder / "config.toml"), (folder / "config.toml").string());
  for (const char* option :
       {"reward", "model", "base", "expert", "expert_data", "base_data", "data", "recorded"}) {
    const Json* path = value_at(config, option);
    if (path == nullptr || !path->is_string() || path->get<std::string>().empty()) continue;
    fs::path next = path->get<std::string>();
    if (!fs::is_directory(next, ignored)) next = next.parent_path();
    add_lineage(next, prefix + option + ".", depth - 1, inputs);
  }
}

/// The file that a stage read as `path`, checked against its record.
fs::path file_read(const std::string& path, const char* name, const std::string& hash,
                   const std::string& role) {
  const fs::path file = product(path, name);
  if (sha256_of(file) != hash)
    throw Error(concat(file.string(), ": expected the ", role, " that the stage read, of SHA-256 ",
                       short_hash(hash), ", found another"));
  return file;
}

/// Weights of the autoencoder whose latents a reward of pictures reads: of the pipeline that its stage, or the one that
/// recorded its chains, sampled, as far as it is still the reward's.
fs::path autoencoder_of(const fs::path& folder) {
  const Json model =
      ImageReward::load(product(folder.string(), "reward.safetensors"))->provenance().at("model");
  std::string given;
  fs::path stage = folder;
  for (int depth = 0; given.empty() && depth < kDeepestFolder; ++depth) {
    const Json config = parse_toml(read_file(stage / "config.toml"), (stage / "config.toml").string());
    given = config.value("model", "");
    if (given.empty()) stage = product(config.value("recorded", ""), "reward.safetensors").parent_path();
  }
  const fs::path pipeline = pipeline_of({given});
  for (const auto& [name, hash] : model.items())
    if (name.starts_with("vae/") && hash_of_bytes(pipeline / name) != hash.get<std::string>())
      throw Error(concat((pipeline / name).string(), ": expected the file of SHA-256 ",
                         short_hash(hash.get<std::string>()),
                         " that the reward was made with, found another"));
  for (const std::string& name : pipeline_files(pipeline))
    if (name.starts_with("vae/") && name.ends_with(".safetensors") && model.contains(name))
      return pipeline / name;
  throw Error(concat(pipeline.string(), ": expected the weights of an autoencoder in vae, found none"));
}

BoardCandidate of_stage(const fs::path& folder, const std::vector<BoardTask>& tasks) {
  const Json record = stage_record(folder.string()), &key = record.at("key"), config = key.at("config");
  const auto command = key.at("command").get<std::string>();
  BoardCandidate found;
  found.entry.name = fs::path(folder).lexically_normal().filename().string();
  if (found.entry.name.empty())
    found.entry.name = fs::path(folder).lexically_normal().parent_path().filename().string();
  found.program = key.value("program", "");
  found.entry.commit = record.value("commit", "");
  found.entry.config = {{"stage", command}};
  found.train_seed = seed_in(config);
  found.command = command_of(record);
  found.run_config = config_of_run(config);
  const Json& inputs = key.at("inputs");
  const auto hash_at = [&](const std::string& role) {
    require(inputs.contains(role), (folder / "stage.json").string(), ": expected the hash of ", role,
            ", found none");
    return inputs.at(role).get<std::string>();
  };
  if (command == "rl") {
    found.entry.kind = found.subject.kind = "agent";
    found.subject.files["agent"] = product(folder.string(), "agent.safetensors");
  } else if (command == "extract") {
    found.entry.kind = found.subject.kind = "reward";
    found.subject.files["reward"] = product(folder.string(), "reward.safetensors");
  } else if (command == "sd extract") {
    found.entry.kind = found.subject.kind = "image_reward";
    found.subject.files["reward"] = product(folder.string(), "reward.safetensors");
    found.subject.files[kAutoencoder] = autoencoder_of(folder);
    found.inputs[kAutoencoderConfig] =
        hash_of_bytes(found.subject.files[kAutoencoder].parent_path() / "config.json");
  } else {
    found.entry.kind = found.subject.kind = "planner";
    const fs::path file = folder / "config.toml";
    const Json paths = parse_toml(read_file(file), file.string());
    const std::string model = paths.value("model", "");
    found.subject.files["model"] = file_read(model, "model.safetensors", hash_at("model"), "model");
    if (inputs.contains("expert"))
      found.subject.files["expert"] =
          file_read(paths.value("expert", ""), "model.safetensors", hash_at("expert"), "expert model");
    const auto rewards = paths.value("rewards", std::vector<std::string>{});
    for (std::size_t i = 0; i < rewards.size(); ++i)
      found.subject.files[concat("reward_", i)] =
          file_read(rewards[i], "reward.safetensors", hash_at(concat("rewards.reward_", i)), "reward");
    std::error_code ignored;
    const fs::path trained =
        fs::is_directory(model, ignored) ? fs::path(model) : fs::path(model).parent_path();
    if (fs::exists(trained / "stage.json", ignored))
      found.train_seed = seed_in(stage_record(trained.string()).at("key").at("config"));
    for (const char* number : {"count", "episode_steps"}) found.run_config.erase(number);
    found.run_config["sample"]["seed"] = 0;  // the task's
    found.subject.config = found.run_config;
  }
  add_lineage(folder, "", 3, found.inputs);
  const auto env = config.find("env");
  for (const BoardTask& task : tasks) {
    if (task.kind != "behaviour" || env == config.end()) continue;
    if (fits(task, env->value("id", ""), env->value("options", Json::object())))
      found.tasks.push_back(task.name);
  }
  return found;
}

BoardCandidate of_file(const fs::path& file) {
  BoardCandidate found;
  found.entry.name = file.stem().string();
  const std::string kind = Safetensors::open(file).metadata_at("kind");
  if (kind == ImageReward::kKind)
    throw Error(
        concat(file.string(),
               ": expected the folder of sd extract, which says whose latents the reward reads, found its "
               "file alone"));
  const std::vector<RewardEntry>& rewards = reward_catalog();
  const bool reward =
      std::ranges::any_of(rewards, [&](const RewardEntry& entry) { return entry.kind == kind; });
  found.entry.kind = found.subject.kind = reward ? "reward" : "agent";
  found.entry.config = {{"file", kind}};
  found.subject.files[found.subject.kind] = file;
  found.run_config = Json::object();
  return found;
}

BoardCandidate of_scripted(const std::string& name) {
  BoardCandidate found;
  found.entry.name = name;
  found.entry.kind = found.subject.kind = "scripted";
  found.program = program_sources(Link::kAgents);
  found.entry.commit = program_commit();
  found.subject.config = {{"policy", name}, {"agents", to_json(ScriptedAgents{})}};
  found.entry.config = found.run_config = found.subject.config;
  return found;
}

void find_stages(const fs::path& folder, int depth, std::vector<fs::path>& out) {
  std::error_code ignored;
  if (fs::exists(folder / "stage.json", ignored)) {
    if (among(kStages, stage_record(folder.string()).at("key").at("command").get<std::string>()))
      out.push_back(folder);
    return;
  }
  if (depth == 0) return;
  std::vector<fs::path> inside;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !entry.is_symlink() && entry.path().filename() != "unfinished")
      inside.push_back(entry);
  std::sort(inside.begin(), inside.end());
  for (const fs::path& next : inside) find_stages(next, depth - 1, out);
}

}  // namespace

std::string hash_of_bytes(const fs::path& file) {
  return sha256(read_file(file));
}

std::string command_of(const Json& record) {
  const Json &key = record.at("key"), &config = key.at("config"), &inputs = key.at("inputs");
  const auto name = key.at("command").get<std::string>();
  const std::vector<FieldInfo> fields = find_command(name).fields();
  std::string out = "diffreward " + name;
  const auto add = [&](const std::string& option, const std::string& value) {
    out += concat(" ", option, " ", shell_word(value));
  };
  for (const FieldInfo& field : fields) {
    const std::string option = option_of(field, fields);
    std::string hashes;
    for (const auto& [role, hash] : inputs.items())
      if ((role == field.name || role.starts_with(field.name + ".")) && hash.is_string())
        hashes += concat(hashes.empty() ? "" : ",", "sha256:", short_hash(hash.get<std::string>()));
    if (!hashes.empty()) {
      add(option, hashes);
      continue;
    }
    const Json* value = value_at(config, field.name);
    if (value == nullptr || *value == field.value) continue;
    if (field.kind != "table") {
      add(option, written(*value));
      continue;
    }
    for (const auto& [entry, setting] : value->items()) add(option, entry + "=" + written(setting));
  }
  return out;
}

std::vector<BoardCandidate> find_candidates(const BoardSubmitConfig& config,
                                            const std::vector<BoardTask>& tasks) {
  std::vector<BoardCandidate> found;
  std::error_code ignored;
  const std::vector<AgentInfo> scripted = scripted_agents();
  const fs::path from = stage_folder(config.from);
  if (!fs::exists(from, ignored) &&
      std::ranges::any_of(scripted, [&](const AgentInfo& agent) { return agent.name == config.from; })) {
    found.push_back(of_scripted(config.from));
  } else if (fs::is_directory(from, ignored)) {
    std::vector<fs::path> stages;
    find_stages(from, kDeepestFolder, stages);
    if (stages.empty())
      throw Error(concat(
          config.from,
          ": expected a stage of rl, plan, extract or sd extract, or a job's folder with some, found none"));
    for (const fs::path& stage : stages) found.push_back(of_stage(stage, tasks));
  } else {
    found.push_back(of_file(from));
  }
  for (BoardCandidate& candidate : found) {
    if (!config.name.empty()) candidate.entry.name = config.name;
    if (config.train_seed >= 0) candidate.train_seed = static_cast<std::uint64_t>(config.train_seed);
    candidate.subject.seed = candidate.train_seed;
    candidate.entry.note = config.note;
    if (!config.command.empty()) candidate.command = config.command;
    if (candidate.command.empty()) candidate.command = "diffreward board submit " + shell_word(config.from);
    candidate.entry.command = candidate.command;
    for (const auto& [role, file] : candidate.subject.files) candidate.inputs[role] = hash_of_bytes(file);
    if (config.tasks.empty()) continue;
    candidate.tasks.clear();
    const std::string kind = task_kind_of(candidate.subject.kind);
    for (const BoardTask& task : tasks)
      if (task.name.starts_with(config.tasks) && task.kind == kind) candidate.tasks.push_back(task.name);
  }
  return found;
}

}  // namespace diffreward::cli
