#include "envs/fingerprint.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <span>

#include "core/hash.h"
#include "core/rng.h"
#include "envs/vector_env.h"

#if __has_include(<gnu/libc-version.h>)
#include <gnu/libc-version.h>
#endif
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif

namespace diffreward {
namespace {

constexpr int kArguments = 4096;  // of each function
constexpr int kSteps = 50;        // of each environment

std::string hash_of(std::span<const double> values) {
  return sha256({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

/// The functions whose code glibc chooses by the processor, at arguments of many sizes.
std::string libm_hash() {
  Rng rng(Seed{20'22'05});
  std::vector<double> results;
  const auto keep = [&](double value) { results.push_back(value); };
  for (int i = 0; i < kArguments; ++i) {
    const double x = rng.uniform(-20, 20), y = rng.uniform(-3, 3), u = rng.uniform(1e-12, 1);
    const auto f = static_cast<float>(x), g = static_cast<float>(u);
    for (const double value :
         {std::exp(x), std::log(u), std::pow(u, y), std::sin(x), std::cos(x), std::tan(x), std::atan2(x, y),
          std::atan(x), std::tanh(y), std::log1p(u), std::expm1(y)})
      keep(value);
    for (const float value : {std::exp(f), std::log(g), std::pow(g, f), std::sin(f), std::cos(f)})
      keep(double{value});
  }
  return hash_of(results);
}

/// What two instances of each engine's environment observe under random actions.
std::string environments_hash() {
  std::vector<double> seen;
  for (const char* id : {"Maze2D-UMaze-v0", "HalfCheetah-v4"}) {
    const auto envs = make_vector(id, {.count = 2, .threads = 1, .autoreset = "same_step"});
    Rng rng(Seed{20'22'05});
    std::vector<double> actions(2 * envs->spec().action.size());
    const StepView* view = &envs->reset(Streams(20'22'05));
    for (int step = 0; step < kSteps; ++step) {
      for (double& action : actions) action = rng.uniform(-1, 1);
      view = &envs->step(actions);
      seen.insert(seen.end(), view->obs.begin(), view->obs.end());
      seen.insert(seen.end(), view->reward.begin(), view->reward.end());
    }
  }
  return hash_of(seen);
}

/// Those by which glibc's functions of real numbers choose their code, as glibc finds them.
Json features() {
  Json found = Json::array();
#if __has_include(<sys/platform/x86.h>)
  if (CPU_FEATURE_ACTIVE(FMA)) found.push_back("fma");
  if (CPU_FEATURE_ACTIVE(FMA4)) found.push_back("fma4");
  if (CPU_FEATURE_ACTIVE(AVX2)) found.push_back("avx2");
#endif
  return found;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

std::string libc() {
#if __has_include(<gnu/libc-version.h>)
  return std::string("glibc ") + gnu_get_libc_version();
#else
  return "unknown";
#endif
}

}  // namespace

Json machine_fingerprint(const std::vector<std::pair<std::string, std::string>>& more) {
  Json arithmetic = {{"libm", libm_hash()}, {"environments", environments_hash()}, {"features", features()}};
  for (const auto& [name, hash] : more) arithmetic[name] = hash;
  return {{"hash", sha256(arithmetic.dump())},
          {"arithmetic", arithmetic},
          {"machine", {{"processor", processor()}, {"libc", libc()}}}};
}

std::string fingerprint_difference(const Json& a, const Json& b) {
  std::string names;
  const Json mine = a.value("arithmetic", Json::object()), theirs = b.value("arithmetic", Json::object());
  const auto add = [&](const std::string& name) {
    if (names.find(name) == std::string::npos) names += (names.empty() ? "" : ", ") + name;
  };
  for (const auto& [name, value] : mine.items())
    if (!theirs.contains(name) || theirs.at(name) != value) add(name);
  for (const auto& [name, value] : theirs.items())
    if (!mine.contains(name)) add(name);
  return names;
}

}  // namespace diffreward
