// file_fuzz KIND COUNT [FIRST]: reads COUNT damaged copies of small files of one kind: model, checkpoint,
// reward, agent, stage, results, config or board (what another board exported, as the server merges it). Case i is the same on every machine; FIRST is the first. See
// mutation.h.
#include <torch/torch.h>

#include <map>
#include <sstream>

#include "agents/diffusion/diffusion_model.h"
#include "agents/ppo/ppo.h"
#include "cli/command.h"
#include "cli/stage.h"
#include "core/file.h"
#include "core/progress.h"
#include "envs/catalog.h"
#include "leaderboard/exports.h"
#include "leaderboard/imports.h"
#include "leaderboard/results.h"
#include "rewards/catalog.h"
#include "tests/fuzz/mutation.h"

using namespace diffreward;
namespace fs = std::filesystem;

namespace {

/// Runs a command, which must succeed, and returns the bytes of a file that it made.
std::string made_by(std::vector<std::string> args, const fs::path& out, const std::string& product) {
  args.insert(args.end(), {"--out", out.string(), "--quiet"});
  std::ostringstream printed, err;
  if (cli::run_cli(args, printed, err) != 0) throw Error(err.str());
  return read_file(out / product);
}

/// Damages a safetensors file's header as text, with a length that fits, three times of four: a raw damage
/// seldom comes further than the length.
std::string damage_safetensors(const std::vector<std::string>& seeds, Rng& rng) {
  if (rng.below(4) == 0) return fuzz::mutate(seeds, rng);
  const std::string& seed = seeds[rng.below(seeds.size())];
  std::uint64_t length = 0;
  std::memcpy(&length, seed.data(), 8);
  const std::string header = fuzz::mutate_text({seed.substr(8, length)}, rng), data = seed.substr(8 + length);
  length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

struct Kind {
  fs::path file;
  std::vector<std::string> seeds;
  std::function<void()> read;
  bool safetensors = true;
};

const std::vector<std::string> kSmall = {"--dim",   "8", "--layers", "1", "--horizon",   "4", "--stride", "1",
                                         "--batch", "4", "--steps",  "2", "--timesteps", "4"};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class Kinds {
 public:
  explicit Kinds(fs::path folder) : folder_(std::move(folder)) {
    made_by({"generate", "--steps", "400", "--count", "2"}, folder_ / "data", "data.hdf5");
    model_ = made_by(std::vector<std::string>{"train", "--data", (folder_ / "data").string()} + kSmall,
                     folder_ / "model", "model.safetensors");
  }

  Kind make(const std::string& name) {
    const fs::path file = folder_ / "case";
    if (name == "model") return {file, {model_}, [file] { DiffusionModel::load(file); }};
    if (name == "checkpoint") return checkpoint();
    if (name == "reward") {
      std::vector<std::string> all;
      for (const RewardEntry& entry : reward_catalog()) all.push_back(reward(entry.name));
      return {file, all, [file] { load_reward(file); }};
    }
    if (name == "agent") return agent(file);
    if (name == "stage") return stage();
    if (name == "results")
      return {file,
              {R"([{"name": "a", "value": 1, "unit": "", "bar": ">= 1", "command": "c", "commit": "d",
  "machine": "m", "interval": [0.5, 1.5], "seeds": [0, 1, 2], "note": "n"}])"},
              [file] { results_table(load_results(file)); },
              false};
    if (name == "config") return config(file);
    if (name == "board") return board(file);
    throw Error("expected model, checkpoint, reward, agent, stage, results, config or board, got " + name);
  }

 private:
  std::string reward(const std::string& method) {
    const std::string data = (folder_ / "data").string(), base = (folder_ / "model").string(),
                      expert = (folder_ / "expert").string();
    if (!fs::exists(expert))
      made_by(std::vector<std::string>{"train", "--data", data, "--seed", "1"} + kSmall, expert,
              "model.safetensors");
    return made_by(
        {"extract", "--expert",   expert, "--base",   base, "--expert-data",    data, "--base-data",
         data,      "--method",   method, "--hidden", "8",  "--batch",          "4",  "--steps",
         "2",       "--channels", "2,3",  "--read-t", "0",  "--support-points", "16"},
        folder_ / method, "reward.safetensors");
  }

  Kind checkpoint() {
    const fs::path run = folder_ / "run";
    fs::create_directory(run);
    const Dataset data = Dataset::open(folder_ / "data" / "data.hdf5");
    const DiffusionModel trained = DiffusionModel::load(folder_ / "model" / "model.safetensors");
    DiffusionTrainConfig train;
    train.batch = 4;
    train.steps = 2;
    return {run / "checkpoint.safetensors",
            {read_file(folder_ / "model" / "checkpoint.safetensors")},
            [run, data, train, config = trained.config()] { train_diffusion(data, config, train, run); }};
  }

  Kind agent(const fs::path& file) {
    const std::shared_ptr<VectorEnv> env =
        make_vector("Maze2D-UMaze-v0", {.count = 2, .autoreset = "same_step"});
    const std::string seed = made_by({"rl", "--count", "2", "--hidden", "4,4", "--decisions", "4",
                                      "--env-steps", "32", "--minibatches", "1", "--episodes", "2"},
                                     folder_ / "agent", "agent.safetensors");
    return {file, {seed}, [file, env] { Ppo::load(file, *env); }};
  }

  Kind stage() {
    const fs::path out = folder_ / "stage";
    const auto run = [out] {
      const cli::StageSpec spec{"train", {{"lr", 1}, {"net", "mlp"}}, out, true, {}, {"product"}};
      cli::run_stage(spec, [](const fs::path& folder) {
        write_file(folder / "product", "made");
        return Json{{"file", "product"}, {"loss", 0.5}};
      });
    };
    run();
    return {out / "stage.json",
            {read_file(out / "stage.json")},
            [out, run] {
              try {
                cli::product(out.string(), "product");
                cli::stage_record(out);
              } catch (const Error&) {  // told again by the run, or mended
              }
              run();
            },
            false};
  }

  Kind config(const fs::path& file) {
    const std::string seed = read_file(folder_ / "model" / "config.toml") +
                             "\n[train]\nlr = 1e-3\ndim_mults = [1, 2]\n[generate]\ngoal_cell = [1, 1]\n";
    return {file,
            {seed},
            [file] {
              std::ostringstream out, err;
              // Options are resolved, then the missing one is told: nothing is trained.
              const std::vector<std::string> args = {"train", "--config", file.string(), "--out", ""};
              if (cli::run_cli(args, out, err) != 2) throw Error("expected exit code 2: " + err.str());
              if (err.str().find(" is missing") == std::string::npos) throw Error(err.str());
            },
            false};
  }

  /// Errors of the board's own file, which is elsewhere, would be faults here.
  Kind board(const fs::path& file) {
    const auto boards = std::make_shared<TemporaryFolder>();
    const auto own = std::make_shared<Board>(Board::create(*boards / "own.sqlite", {{.name = "s/a"}}));
    Board other = Board::create(*boards / "other.sqlite", {{.name = "s/a"}, {.name = "t/b"}});
    for (const char* name : {"PPO", "SAC", "gone"}) {
      BoardSubmission given{.entry = {.name = name, .config = {{"lr", 1e-3}}}};
      given.artifacts = {{"aa8ad3bd1e9a2d6a6a3f6d2e0d3c8a6f4b2e1d0c9b8a7f6e5d4c3b2a19080706", 7, "weights"}};
      for (const char* task : {"s/a", "t/b"})
        given.runs.push_back({.task = task,
                              .train_seed = 1,
                              .weights = given.artifacts[0].sha256,
                              .inputs = {{"agent", given.artifacts[0].sha256}},
                              .episodes = {{0, 0.5, 10}, {1, 1.5, 20}}});
      other.submit(given);
      own->submit({.entry = given.entry, .runs = {given.runs[0]}});
    }
    other.retract(other.entry("gone").id, std::nullopt, "wrong");
    return {file,
            {board_json(other).dump(), board_json(*own).dump(2)},
            [file, own, boards] {
              try {
                const Json exported = parse_board(read_file(file));
                const BoardBatch batch(*own);  // nothing stays
                merge_board(*own, exported);
              } catch (const InvalidArgument& error) {
                throw Error(concat(file.string(), ": ", error.what()));
              }
            },
            false};
  }

  fs::path folder_;
  std::string model_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: file_fuzz model|checkpoint|reward|agent|stage|results|config|board COUNT [FIRST]\n";
    return 2;
  }
  at::set_num_threads(1);
  Progress::silence();
  const TemporaryFolder folder;
  const std::string name = argv[1];
  const Kind kind = Kinds(folder.path()).make(name);
  const auto damage = [&](Rng& rng) {
    return kind.safetensors ? damage_safetensors(kind.seeds, rng) : fuzz::mutate_text(kind.seeds, rng);
  };
  return fuzz::run(name, argc > 3 ? std::stoull(argv[3]) : 0, std::stoull(argv[2]), {}, damage, kind.file,
                   [&] {
                     kind.read();
                     return std::string("read");
                   });
}
