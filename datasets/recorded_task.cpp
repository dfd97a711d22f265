#include "datasets/recorded_task.h"

#include "core/interrupt.h"
#include "envs/catalog.h"

namespace diffreward {

RecordedTask recorded_task(const Provenance& from) {
  RecordedTask task;
  try {
    task.env = make_env(from.env, from.env_options);
  } catch (const Error&) {  // not one of ours
  }
  if (const int own = from.episode_steps(); own > 0)
    task.limit = static_cast<std::size_t>(own);
  else if (task.env != nullptr && task.env->spec().max_steps > 0)
    task.limit = static_cast<std::size_t>(task.env->spec().max_steps);
  return task;
}

std::vector<double> whole_returns(const Dataset& data, const RecordedTask& task) {
  std::vector<double> returns;
  for (const Episode& episode : data.episodes()) {
    check_interrupt();
    if (!task.is_whole(episode)) continue;
    double sum = 0;
    for (std::size_t row = episode.begin; row < episode.end; ++row) sum += double{data.rewards()[row]};
    returns.push_back(sum);
  }
  return returns;
}

}  // namespace diffreward
