// locomotion_trajectory ID OPTIONS EPISODES STEPS FOLDER [POLICY]: drives a locomotion environment with
// random actions, or with a policy of tests/oracle/policies, and writes what another program needs to repeat
// it, as native doubles: starts.f64 [episodes, nq + nv], first.f64 [episodes, obs], lengths.f64 [episodes];
// and a row for each step in actions.f64 (some beyond the box), observations.f64, rewards.f64, info.f64,
// ended.f64. The names of info's columns stand in info.txt, the default options in defaults.json, the robot's
// compiled model in model.mjb. OPTIONS is JSON. Used by tests/oracle/locomotion_test.py.
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "envs/catalog.h"
#include "envs/locomotion/mujoco_env.h"

namespace diffreward {
namespace {

void write_doubles(const std::filesystem::path& path, const std::vector<double>& values) {
  write_file(path, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)});
}

/// tanh(weights [clipped observation, 1]), in units of the largest action; no policy: nothing.
class LinearPolicy {
 public:
  explicit LinearPolicy(const std::filesystem::path& path) {
    if (path.empty()) return;
    const Json file = Json::parse(read_file(path));
    inputs_ = file.at("inputs");
    weights_ = file.at("weights").get<std::vector<std::vector<double>>>();
  }
  explicit operator bool() const { return !weights_.empty(); }
  void act(std::span<const double> obs, const Box& box, std::span<double> action) const {
    for (std::size_t i = 0; i < action.size(); ++i) {
      double sum = weights_[i][inputs_];
      for (std::size_t k = 0; k < inputs_; ++k) sum += weights_[i][k] * std::clamp(obs[k], -5.0, 5.0);
      action[i] = box.high[i] * std::tanh(sum);
    }
  }

 private:
  std::size_t inputs_ = 0;
  std::vector<std::vector<double>> weights_;  // [act_dim, inputs + 1]
};

void record(const std::string& id, const Json& options, int episodes, int steps,
            const std::filesystem::path& folder, const LinearPolicy& policy) {
  const std::unique_ptr<Env> made = make_env(id, options);
  auto* const env = dynamic_cast<MujocoEnv*>(made.get());
  require(env, id, ": expected a locomotion environment");
  const EnvSpec& spec = env->spec();
  Rng rng(23);
  std::vector<double> obs(spec.observation.size()), action(spec.action.size()), info(spec.info_size());
  std::vector<double> starts, first, lengths, actions, observations, rewards, infos, ended;
  const auto put = [](std::vector<double>& to, std::span<const double> values) {
    to.insert(to.end(), values.begin(), values.end());
  };
  for (int e = 0; e < episodes; ++e) {
    env->reset(e ? std::nullopt : std::optional<std::uint64_t>(29), {}, obs);
    put(starts, env->qpos());
    put(starts, env->qvel());
    put(first, obs);
    int t = 0;
    for (bool over = false; t < steps && !over; ++t) {
      if (policy)
        policy.act(obs, spec.action, action);
      else
        for (std::size_t i = 0; i < action.size(); ++i)
          action[i] = 1.2 * rng.uniform(spec.action.low[i], spec.action.high[i]);
      const StepResult result = env->step(action, obs);
      env->info(info);
      over = result.terminated;
      put(actions, action);
      put(observations, obs);
      put(infos, info);
      rewards.push_back(result.reward);
      ended.push_back(over);
    }
    lengths.push_back(t);
  }
  std::string names;
  for (const InfoField& field : spec.info) names += concat(field.name, " ", field.size, "\n");
  write_file(folder / "info.txt", names);
  Json defaults = Json::object();
  for (const EnvEntry& entry : env_catalog())
    if (entry.id == id)
      for (const FieldInfo& field : entry.options_help()) defaults[field.name] = field.value;
  write_file(folder / "defaults.json", defaults.dump());
  mj_saveModel(&env->model(), (folder / "model.mjb").c_str(), nullptr, 0);
  write_doubles(folder / "starts.f64", starts);
  write_doubles(folder / "first.f64", first);
  write_doubles(folder / "lengths.f64", lengths);
  write_doubles(folder / "actions.f64", actions);
  write_doubles(folder / "observations.f64", observations);
  write_doubles(folder / "rewards.f64", rewards);
  write_doubles(folder / "info.f64", infos);
  write_doubles(folder / "ended.f64", ended);
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) {
    std::fprintf(stderr, "usage: locomotion_trajectory ID OPTIONS EPISODES STEPS FOLDER [POLICY]\n");
    return 2;
  }
  try {
    diffreward::record(argv[1], diffreward::Json::parse(argv[2]), std::stoi(argv[3]), std::stoi(argv[4]),
                       argv[5], diffreward::LinearPolicy(argc == 7 ? argv[6] : ""));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
