// maze2d_trajectory MAP STEPS FOLDER: drives the MuJoCo engine with random controls and writes what another
// program needs to repeat it: model.xml, actions.f64 [steps, 2] (some beyond the box, to be clipped),
// observations.f64 [steps + 1, 4], both as native doubles. Used by tests/oracle/maze2d_mujoco_test.py.
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "envs/maze2d/maze2d.h"
#include "envs/maze2d/mjcf.h"

namespace diffreward {
namespace {

void write_doubles(const std::filesystem::path& path, const std::vector<double>& values) {
  write_file(path, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)});
}

void record(const std::string& map, int steps, const std::filesystem::path& folder) {
  Maze2D env("Maze2DMuJoCo-Recorded-v0", {.engine = "mujoco", .map = map}, 0, 0, 1);
  Rng rng(17);
  std::vector<double> obs(4), action(2), actions, observations;
  env.reset(17, {}, obs);
  observations = obs;
  for (int t = 0; t < steps; ++t) {
    if (t % 12 == 0)
      for (double& a : action) a = rng.uniform(-1.3, 1.3);
    env.step(action, obs);
    actions.insert(actions.end(), action.begin(), action.end());
    observations.insert(observations.end(), obs.begin(), obs.end());
  }
  write_file(folder / "model.xml", maze_mjcf(env.map()));
  write_doubles(folder / "actions.f64", actions);
  write_doubles(folder / "observations.f64", observations);
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: maze2d_trajectory MAP STEPS FOLDER\n");
    return 2;
  }
  try {
    diffreward::record(argv[1], std::stoi(argv[2]), argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
