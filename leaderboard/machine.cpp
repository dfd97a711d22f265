#include "leaderboard/machine.h"

#include <span>
#include <vector>

#include "agents/diffusion/diffusion_model.h"
#include "core/hash.h"
#include "envs/fingerprint.h"
#include "leaderboard/results.h"

namespace diffreward {
namespace {

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
  const Json found = machine_fingerprint({{"denoiser", denoiser_hash()}});
  return {found.at("hash").get<std::string>(), machine_description(), instructions(),
          found.at("machine").at("libc").get<std::string>(), DIFFREWARD_PACKAGES};
}

}  // namespace

std::string denoiser_hash() {
  const DiffusionConfig config{.horizon = 8, .stride = 1, .timesteps = 10, .dim = 64};
  const WindowLayout layout{.horizon = 8, .stride = 1, .action_dim = 2, .observation_dim = 4};
  const auto width = static_cast<std::size_t>(layout.width());
  const DiffusionModel model(
      config, layout, Normalizer("limits", std::vector<double>(width, 0.0), std::vector<double>(width, 1.0)),
      /*seed=*/1);
  const auto sample = model.sample(16, {}, SampleConfig{.seed = 1});
  const std::span<const float> values(sample);
  return sha256({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

Json Machine::json() const {
  return {{"fingerprint", fingerprint}, {"cpu", cpu}, {"isa", isa}, {"libm", libm}, {"packages", packages}};
}

const Machine& this_machine() {
  static const Machine machine = probe_machine();
  return machine;
}

}  // namespace diffreward
