#include "datasets/collect.h"

#include <algorithm>
#include <memory>

#include "core/progress.h"
#include "datasets/storage/d4rl_writer.h"

#ifndef DIFFREWARD_VERSION
#define DIFFREWARD_VERSION "unknown"
#endif

namespace diffreward {
namespace {

constexpr std::size_t kBlock = 256;  // steps buffered per instance between writes

/// One column's buffer: kBlock rows for each instance, so that each write is one contiguous piece of the
/// file.
template <class T>
class Buffer {
 public:
  Buffer(std::string column, std::size_t instances, std::size_t width)
      : column_(std::move(column)), width_(width), values_(instances * kBlock * width) {}

  T* row(std::size_t instance, std::size_t step) {
    return values_.data() + (instance * kBlock + step) * width_;
  }

  template <class From>
  void put(std::size_t instance, std::size_t step, const From* from) {
    T* to = row(instance, step);
    for (std::size_t c = 0; c < width_; ++c) to[c] = static_cast<T>(from[c]);
  }

  /// Writes the first `steps` buffered rows of every instance behind row `done` of its block of `length`
  /// rows.
  void flush(D4rlWriter& writer, std::size_t instances, std::size_t steps, std::size_t done,
             std::size_t length) {
    for (std::size_t i = 0; i < instances; ++i)
      writer.write(column_, i * length + done, std::span<const T>(row(i, 0), steps * width_));
  }

 private:
  std::string column_;
  std::size_t width_;
  std::vector<T> values_;
};

}  // namespace

const char* name_of(Recording recording) {
  constexpr const char* kNames[] = {"base", "expert", "held-out base", "held-out expert"};
  return kNames[static_cast<std::size_t>(recording)];
}

Dataset collect(VectorEnv& envs, Agent& agent, std::size_t steps, const CollectInfo& info,
                const std::filesystem::path& path) {
  require(envs.autoreset() == Autoreset::kSameStep,
          "collect: expected a vector env with same_step autoreset");
  require(steps > 0, "collect: expected at least one step, got 0");
  const EnvSpec& spec = envs.spec();
  const auto n = static_cast<std::size_t>(envs.size());
  const std::size_t length = (steps + n - 1) / n, obs_dim = spec.observation.size(),
                    act_dim = spec.action.size();
  const std::size_t info_dim = spec.info_size();
  Json extra_provenance = info.extra;
  extra_provenance["recording"] = name_of(info.recording);
  Provenance provenance{spec.id,   info.behaviour,   "diffreward " DIFFREWARD_VERSION,
                        info.seed, info.env_options, extra_provenance};
  D4rlWriter writer(path, n * length, obs_dim, act_dim, spec.info, provenance);
  Buffer<float> observations("observations", n, obs_dim), next_observations("next_observations", n, obs_dim);
  Buffer<float> actions("actions", n, act_dim), rewards("rewards", n, 1);
  Buffer<std::uint8_t> terminals("terminals", n, 1), timeouts("timeouts", n, 1);
  std::vector<Buffer<float>> infos;
  for (const InfoField& field : spec.info) infos.emplace_back("infos/" + field.name, n, field.size);

  std::vector<double> chosen(n * act_dim);
  Progress progress("record " + info.behaviour, static_cast<std::int64_t>(n * length), "steps");
  const StepView* view = &envs.reset(streams_of(info.recording, info.seed));
  for (std::size_t done = 0, filled = 0; done + filled < length;) {
    agent.act(*view, chosen);
    for (std::size_t i = 0; i < n; ++i) {
      observations.put(i, filled, view->obs.data() + i * obs_dim);
      for (std::size_t f = 0, at = i * info_dim; f < spec.info.size(); at += spec.info[f++].size)
        infos[f].put(i, filled, view->info.data() + at);
    }
    view = &envs.step(chosen);
    const bool last = done + filled + 1 == length;
    for (std::size_t i = 0; i < n; ++i) {
      actions.put(i, filled, chosen.data() + i * act_dim);
      next_observations.put(i, filled, view->final_obs.data() + i * obs_dim);
      rewards.put(i, filled, view->task_reward.data() + i);
      *terminals.row(i, filled) = view->terminated[i];
      *timeouts.row(i, filled) = (view->truncated[i] || last) && !view->terminated[i];
    }
    progress.advance(static_cast<std::int64_t>(n));
    if (++filled < kBlock && !last) continue;
    observations.flush(writer, n, filled, done, length);
    next_observations.flush(writer, n, filled, done, length);
    actions.flush(writer, n, filled, done, length);
    rewards.flush(writer, n, filled, done, length);
    terminals.flush(writer, n, filled, done, length);
    timeouts.flush(writer, n, filled, done, length);
    for (Buffer<float>& column : infos) column.flush(writer, n, filled, done, length);
    done += filled;
    filled = 0;
  }
  writer.commit();
  return Dataset::open(path);
}

}  // namespace diffreward
