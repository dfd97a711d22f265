// point_maze_trajectory ID OPTIONS EPISODES STEPS FOLDER: drives a point maze with random actions, each held
// for a while, and writes what another program needs to repeat it, as native doubles: starts.f64 [episodes,
// 2] (x, y), first.f64 [episodes, obs], first_success.f64 [episodes], lengths.f64 [episodes]; and a row for
// each step in actions.f64 (some beyond the box), observations.f64, rewards.f64, ended.f64, success.f64.
// Every second episode starts on its goal. The model stands in model.xml, the default options in
// defaults.json, start and goal cells [n, 2] (row, column) in start_cells.f64 and goal_cells.f64. OPTIONS is
// JSON. Used by tests/oracle/point_maze_test.py.
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "envs/catalog.h"
#include "envs/maze2d/mjcf.h"
#include "envs/maze2d/point_maze.h"

namespace diffreward {
namespace {

void write_doubles(const std::filesystem::path& path, const std::vector<double>& values) {
  write_file(path, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)});
}

void record(const std::string& id, const Json& options, int episodes, int steps,
            const std::filesystem::path& folder) {
  const std::unique_ptr<Env> made = make_env(id, options);
  auto* const env = dynamic_cast<PointMaze*>(made.get());
  require(env, id, ": expected a point maze");
  Rng rng(31);
  std::vector<double> obs(env->spec().observation.size()), action(2), info(env->spec().info_size());
  std::vector<double> starts, first, first_success, lengths, actions, observations, rewards, ended, success;
  const auto put = [](std::vector<double>& to, std::span<const double> values) {
    to.insert(to.end(), values.begin(), values.end());
  };
  const std::size_t told = env->spec().info_offset("success").value();
  for (int e = 0; e < episodes; ++e) {
    env->reset(e ? std::nullopt : std::optional<std::uint64_t>(37), {}, obs);
    if (e % 2) {
      const std::vector<double> here = {obs[0], obs[1]};
      const ResetOptions on_goal{.fixed = {{"start", here}, {"goal", here}}};
      env->reset(std::nullopt, on_goal, obs);
    }
    env->info(info);
    put(starts, std::span(obs).first(2));
    put(first, obs);
    first_success.push_back(info[told]);
    int t = 0;
    for (bool over = false; t < steps && !over; ++t) {
      if (t % 12 == 0)
        for (double& a : action) a = rng.uniform(-1.3, 1.3);
      const StepResult result = env->step(action, obs);
      env->info(info);
      over = result.terminated;
      put(actions, action);
      put(observations, obs);
      rewards.push_back(result.reward);
      ended.push_back(over);
      success.push_back(info[told]);
    }
    lengths.push_back(t);
  }
  Json defaults = Json::object();
  for (const EnvEntry& entry : env_catalog())
    if (entry.id == id)
      for (const FieldInfo& field : entry.options_help()) defaults[field.name] = field.value;
  write_file(folder / "defaults.json", defaults.dump());
  write_file(folder / "model.xml", point_maze_mjcf(env->map()));
  for (const auto& [name, cells] :
       {std::pair{"start_cells.f64", env->start_cells()}, std::pair{"goal_cells.f64", env->goal_cells()}}) {
    std::vector<double> numbers;
    for (const Cell cell : cells) numbers.insert(numbers.end(), cell.begin(), cell.end());
    write_doubles(folder / name, numbers);
  }
  write_doubles(folder / "starts.f64", starts);
  write_doubles(folder / "first.f64", first);
  write_doubles(folder / "first_success.f64", first_success);
  write_doubles(folder / "lengths.f64", lengths);
  write_doubles(folder / "actions.f64", actions);
  write_doubles(folder / "observations.f64", observations);
  write_doubles(folder / "rewards.f64", rewards);
  write_doubles(folder / "ended.f64", ended);
  write_doubles(folder / "success.f64", success);
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: point_maze_trajectory ID OPTIONS EPISODES STEPS FOLDER\n");
    return 2;
  }
  try {
    diffreward::record(argv[1], diffreward::Json::parse(argv[2]), std::stoi(argv[3]), std::stoi(argv[4]),
                       argv[5]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
