#include <algorithm>
#include <numeric>

#include "agents/agent.h"

namespace diffreward {
namespace {

/// Episode first + i of each instance i; outcomes [count] of the first `count` instances are filled.
void run_round(VectorEnv& env, Agent& agent, const Streams& seeds, std::uint64_t first,
               std::span<EpisodeOutcome> outcomes) {
  const std::size_t n = static_cast<std::size_t>(env.size());
  const std::size_t obs_dim = env.spec().observation.size(), info_dim = env.spec().info_size();
  std::vector<double> actions(n * env.spec().action.size());
  std::vector<std::uint8_t> ended(n), done(n, 0);
  std::size_t left = outcomes.size();
  std::vector<std::uint64_t> numbers(n);
  std::iota(numbers.begin(), numbers.end(), first);
  agent.number_episodes(numbers);
  const StepView* view = &env.reset(seeds.skip(first));
  while (left > 0) {
    agent.act(*view, actions);
    view = &env.step(actions);
    bool any_ended = false;
    for (std::size_t i = 0; i < n; ++i) {
      ended[i] = view->terminated[i] || view->truncated[i];
      any_ended = any_ended || ended[i];
      if (i >= outcomes.size() || done[i]) continue;
      EpisodeOutcome& outcome = outcomes[i];
      outcome.task_return += view->task_reward[i];
      outcome.paid_return += view->reward[i];
      ++outcome.steps;
      if (!ended[i]) continue;
      const auto reached = view->final_obs.subspan(i * obs_dim, obs_dim),
                 told = view->final_info.subspan(i * info_dim, info_dim);
      outcome.last_observation.assign(reached.begin(), reached.end());
      outcome.last_info.assign(told.begin(), told.end());
      done[i] = 1;
      --left;
    }
    if (any_ended && env.autoreset() == Autoreset::kDisabled) view = &env.reset(ended, {}, {});
  }
}

}  // namespace

std::vector<EpisodeOutcome> evaluate_agent(VectorEnv& env, Agent& agent, int episodes, std::uint64_t seed,
                                           Purpose purpose) {
  require(episodes >= 1, "evaluate_agent: expected at least 1 episode, got ", episodes);
  const std::size_t n = static_cast<std::size_t>(env.size());
  std::vector<EpisodeOutcome> outcomes(static_cast<std::size_t>(episodes));
  for (std::size_t first = 0; first < outcomes.size(); first += n)
    run_round(env, agent, Streams(purpose, seed), first,
              std::span(outcomes).subspan(first, std::min(n, outcomes.size() - first)));
  return outcomes;
}

}  // namespace diffreward
