#include "rewards/evaluate/epic.h"

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "rewards/transitions.h"

namespace diffreward {
namespace {

/// Rows of a column, drawn with replacement.  [rows, columns]
std::vector<float> take(std::span<const float> column, std::size_t columns,
                        std::span<const std::size_t> rows) {
  std::vector<float> out;
  out.reserve(rows.size() * columns);
  for (const std::size_t row : rows)
    out.insert(out.end(), column.begin() + std::ptrdiff_t(row * columns),
               column.begin() + std::ptrdiff_t((row + 1) * columns));
  return out;
}

std::vector<std::size_t> draw_rows(Rng& rng, std::size_t size, int count) {
  std::vector<std::size_t> rows(static_cast<std::size_t>(count));
  for (std::size_t& row : rows) row = rng.below(size);
  return rows;
}

struct Draws {
  std::size_t n, m, observation_dim, action_dim;
  std::vector<float> s, a, next;           // [n, ...]  transitions as recorded
  std::vector<float> other_a, other_next;  // [m, ...]  A and S'
};

Draws draw(const Dataset& data, const EpicConfig& config) {
  Rng rng(Streams(Purpose::kChoices, config.seed, 0)[0]);
  const std::vector<std::size_t> rows = draw_rows(rng, data.size(), config.transitions);
  const std::vector<std::size_t> actions = draw_rows(rng, data.size(), config.expectation);
  const std::vector<std::size_t> states = draw_rows(rng, data.size(), config.expectation);
  const std::size_t od = data.observation_dim(), ad = data.action_dim();
  return {rows.size(),
          states.size(),
          od,
          ad,
          take(data.observations(), od, rows),
          take(data.actions(), ad, rows),
          take(data.next_observations(), od, rows),
          take(data.actions(), ad, actions),
          take(data.next_observations(), od, states)};
}

/// E R(s, A, S') for each state of `from` [n, observation_dim].
std::vector<double> expected_from(const TransitionReward& reward, const Draws& d,
                                  std::span<const float> from) {
  std::vector<double> out(d.n), paid(d.m);
  std::vector<float> s(d.m * d.observation_dim);
  for (std::size_t i = 0; i < d.n; ++i) {
    for (std::size_t j = 0; j < d.m; ++j)
      std::copy_n(from.data() + i * d.observation_dim, d.observation_dim, s.data() + j * d.observation_dim);
    reward(s, d.other_a, d.other_next, paid);
    out[i] = mean(paid);
  }
  return out;
}

/// C(R) up to the constant g E R(S, A, S'), which no correlation sees.
std::vector<double> canonical(const TransitionReward& reward, const Draws& d, double discount) {
  std::vector<double> out(d.n);
  reward(d.s, d.a, d.next, out);
  const std::vector<double> after = expected_from(reward, d, d.next), before = expected_from(reward, d, d.s);
  for (std::size_t i = 0; i < d.n; ++i) out[i] += discount * after[i] - before[i];
  return out;
}

}  // namespace

TransitionReward transition_reward(const RewardModel& reward) {
  return [&reward](std::span<const float> s, std::span<const float> a, std::span<const float> next,
                   std::span<double> out) {
    std::vector<float> scores(out.size());
    score_transitions(reward, {s, a, next}, scores);
    std::copy(scores.begin(), scores.end(), out.begin());
  };
}

double epic_distance(const TransitionReward& first, const TransitionReward& second, const Dataset& coverage,
                     const EpicConfig& config) {
  require(coverage.size() > 0 && config.transitions >= 2 && config.expectation >= 1,
          "epic_distance: expected data, at least 2 transitions and 1 for the expectation");
  const Draws d = draw(coverage, config);
  const double rho = pearson(canonical(first, d, config.discount), canonical(second, d, config.discount));
  return std::sqrt((1 - rho) / 2);
}

}  // namespace diffreward
