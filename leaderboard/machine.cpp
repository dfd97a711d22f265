#include "leaderboard/machine.h"

#include <gnu/libc-version.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "agents/diffusion/diffusion_model.h"
#include "core/hash.h"
#include "core/rng.h"
#include "envs/catalog.h"
#include "leaderboard/results.h"

namespace diffreward {
namespace {

constexpr int kValues = 512, kSteps = 64;

/// The numbers of the probe, as bytes.
class Probe {
 public:
  void add(double value) { append(&value, sizeof value); }
  void add(float value) { append(&value, sizeof value); }
  std::string hash() const { return sha256(bytes_); }

 private:
  void append(const void* value, std::size_t size) { bytes_.append(static_cast<const char*>(value), size); }

  std::string bytes_;
};

void add_functions(Probe& probe) {
  Rng rng(Seed{1});
  for (int i = 0; i < kValues; ++i) {
    const double x = 40 * rng.uniform() - 20;
    for (const double y : {std::exp(x), std::log(std::abs(x)), std::sin(x), std::cos(x), std::tanh(x),
                           std::atan(x), std::pow(std::abs(x), 0.37), std::sqrt(std::abs(x)), std::erf(x)})
      probe.add(y);
    const auto z = static_cast<float>(x);
    for (const float y : {std::exp(z), std::log(std::abs(z)), std::sin(z), std::tanh(z)}) probe.add(y);
  }
}

/// A sample of a small model: its net's matrix products, activations and the sampler.
void add_denoiser(Probe& probe) {
  const DiffusionConfig config{.horizon = 8, .stride = 1, .timesteps = 10, .dim = 64};
  const WindowLayout layout{.horizon = 8, .stride = 1, .action_dim = 2, .observation_dim = 4};
  const auto width = static_cast<std::size_t>(layout.width());
  const DiffusionModel model(
      config, layout, Normalizer("limits", std::vector<double>(width, 0.0), std::vector<double>(width, 1.0)),
      /*seed=*/1);
  for (const float value : model.sample(16, {}, SampleConfig{.seed = 1})) probe.add(value);
}

void add_physics(Probe& probe, const char* id) {
  const std::unique_ptr<Env> env = make_env(id);
  std::vector<double> observation(env->spec().observation.size()), action(env->spec().action.size());
  env->reset(Seed{1}, {}, observation);
  Rng rng(Seed{2});
  for (int i = 0; i < kSteps; ++i) {
    for (double& a : action) a = 2 * rng.uniform() - 1;
    probe.add(env->step(action, observation).reward);
    for (const double value : observation) probe.add(value);
  }
}

std::string instructions() {
#if defined(__x86_64__)
  std::string out = "x86_64";
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) out += " avx2";
  if (__builtin_cpu_supports("fma")) out += " fma";
  if (__builtin_cpu_supports("avx512f")) out += " avx512f";
  if (__builtin_cpu_supports("avx512vnni")) out += " avx512vnni";
  return out;
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

Machine probe_machine() {
  Probe probe;
  add_functions(probe);
  add_denoiser(probe);
  for (const char* id : {"Maze2D-UMaze-v0", "Hopper-v4"}) add_physics(probe, id);
  return {probe.hash(), machine_description(), instructions(), concat("glibc ", gnu_get_libc_version()),
          DIFFREWARD_PACKAGES};
}

}  // namespace

Json Machine::json() const {
  return {{"fingerprint", fingerprint}, {"cpu", cpu}, {"isa", isa}, {"libm", libm}, {"packages", packages}};
}

const Machine& this_machine() {
  static const Machine machine = probe_machine();
  return machine;
}

}  // namespace diffreward
