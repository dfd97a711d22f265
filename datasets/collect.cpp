#include "datasets/collect.h"

#include <memory>
#include <vector>

#include "core/progress.h"
#include "datasets/column_block.h"
#include "datasets/shards.h"

#ifndef DIFFREWARD_VERSION
#define DIFFREWARD_VERSION "unknown"
#endif

namespace diffreward {

const char* name_of(Recording recording) {
  constexpr const char* kNames[] = {"base", "expert", "held-out base", "held-out expert", "training"};
  return kNames[static_cast<std::size_t>(recording)];
}

Provenance provenance_of(const EnvSpec& spec, const CollectInfo& info) {
  Json extra = info.extra;
  extra["recording"] = name_of(info.recording);
  return {spec.id, info.behaviour, "diffreward " DIFFREWARD_VERSION, info.seed, info.env_options, extra};
}

namespace {

/// The file of a recording of `rows` rows, to be filled.
std::unique_ptr<D4rlWriter> recording_file(VectorEnv& envs, std::size_t rows, const CollectInfo& info,
                                           const std::filesystem::path& path) {
  const EnvSpec& spec = envs.spec();
  return std::make_unique<D4rlWriter>(path, rows, spec.observation.size(), spec.action.size(),
                                      ColumnBlock::infos(spec, info.log_probabilities),
                                      envs.env(0).recorded_fields(), provenance_of(spec, info),
                                      info.shard ? kPageAlignment : kColumnAlignment);
}

}  // namespace

std::size_t recorded_row_bytes(VectorEnv& envs, const CollectInfo& info) {
  const EnvSpec& spec = envs.spec();
  std::size_t floats = 2 * spec.observation.size() + spec.action.size() + 1, doubles = 0;
  for (const InfoField& field : ColumnBlock::infos(spec, info.log_probabilities)) floats += field.size;
  for (const InfoField& field : envs.env(0).recorded_fields()) doubles += field.size;
  return floats * sizeof(float) + doubles * sizeof(double) + 2;  // and two flags
}

void merge_recordings(VectorEnv& envs, const CollectInfo& info, const ShardFolder& shards,
                      const std::filesystem::path& path) {
  const std::unique_ptr<D4rlWriter> writer = recording_file(envs, shards.plan().rows(), info, path);
  shards.concatenate(*writer);
  writer->commit();
}

Dataset collect(VectorEnv& envs, Agent& agent, std::size_t steps, const CollectInfo& info,
                const std::filesystem::path& path) {
  require(envs.autoreset() == Autoreset::kSameStep,
          "collect: expected a vector env with same_step autoreset");
  require(steps > 0, "collect: expected at least one step, got 0");
  const EnvSpec& spec = envs.spec();
  const auto n = static_cast<std::size_t>(envs.size());
  const std::size_t length = (steps + n - 1) / n;
  const std::unique_ptr<D4rlWriter> writer = recording_file(envs, n * length, info, path);
  ColumnBlock block(envs, info.log_probabilities);
  std::vector<double> chosen(n * spec.action.size()), densities(info.log_probabilities ? n : 0);
  Progress progress("record " + info.behaviour, static_cast<std::int64_t>(n * length), "steps");
  const StepView* view = &envs.reset(streams_of(info.recording, info.seed).skip(info.first_instance));
  for (std::size_t done = 0; done < length;) {
    agent.act(*view, chosen);
    if (info.log_probabilities)
      require(agent.log_probabilities(densities),
              "log_probabilities: expected an agent that draws its actions, found one that has no density");
    block.before(*view);
    view = &envs.step(chosen);
    block.after(chosen, *view, densities);
    progress.advance(static_cast<std::int64_t>(n));
    const std::size_t filled = block.filled();
    const bool last = done + filled == length;
    if (!block.full() && !last) continue;
    if (last) block.cut();
    block.flush(*writer, done, length);
    done += filled;
  }
  writer->commit();
  return Dataset::open(path);
}

}  // namespace diffreward
