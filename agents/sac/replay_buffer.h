// What an off-policy agent remembers: the latest transitions of n instances, in one flat array.
//
// A transition's next observation is the one that the step reached, before any autoreset, so no row goes across a
// reset. Only a terminated one has no future; a truncated one is bootstrapped. Returns over several steps end where
// the episode or the memory does:
//
//   R = r_t + gamma r_{t+1} + ... + gamma^{m-1} r_{t+m-1},   m <= n_step
//   y = R + gamma^m (1 - terminated) V(s_{t+m})
//
// Whoever is paid by a reward that was learned must not be told that the end is worth 0: a reward that is positive everywhere
// would praise surviving, a negative one dying. A memory with an absorbing state (Kostrikov et al., "Discriminator-actor-
// critic", 2019, section 4.2) lets a terminated step reach a state that goes on for ever, s_a -> s_a by the action 0, whose
// value is learned as any other's. Observations then have one more number, 1 there, where all others are 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"
#include "envs/vector_env.h"

namespace diffreward {

/// Where drawn transitions are written to.
struct ReplayBatch {
  std::span<float> observation;       // [batch, obs_dim], + 1 with an absorbing state
  std::span<float> action;            // [batch, act_dim]
  std::span<float> reward;            // [batch]  R
  std::span<float> discount;          // [batch]  gamma^m (1 - terminated); gamma^m with an absorbing state
  std::span<float> next_observation;  // as observation
};

class ReplayBuffer {
 public:
  /// Room for `capacity` transitions, rounded down to whole steps of `instances` and at least one of them. Throws
  /// InvalidArgument for more than the machine's memory. `absorbing`: with an absorbing state.
  ReplayBuffer(std::int64_t capacity, std::size_t instances, std::size_t obs_dim, std::size_t act_dim,
               bool absorbing = false);

  /// Adds one step of all instances, in place of the oldest where it is full: observations [n, obs_dim] that `actions`
  /// [n, act_dim] (as the agent gave them) answered to, and what followed. Throws Error, adding nothing, for a number
  /// that is not finite, naming its instance.
  void add(std::span<const double> obs, std::span<const float> actions, const StepView& after);

  /// Draws transitions uniformly, with replacement, into all of `batch`. Each that leads into the absorbing state is
  /// followed by that state's own, paid 0, if there is room: one for every end, as the authors' code remembers them.
  void sample(Rng& rng, int n_step, double gamma, const ReplayBatch& batch) const;

  std::size_t size() const { return filled_ * n_; }  // transitions
  std::size_t capacity() const { return slots_ * n_; }
  std::size_t observation_width() const { return obs_dim_ + (absorbing_ ? 1 : 0); }  // as sampled
  std::size_t action_width() const { return act_dim_; }

  // For checkpoints: rows [size(), width], the oldest step first.
  std::size_t width() const { return width_; }
  std::vector<float> rows() const;
  /// Throws InvalidArgument for another number of columns, more rows than fit, or half a step.
  void set_rows(std::span<const float> rows);

 private:
  // A row: observation, action, next observation, reward, terminated, ended.
  const float* row(std::size_t slot, std::size_t instance) const {
    return rows_.data() + (slot * n_ + instance) * width_;
  }
  /// Writes an observation, or the absorbing state for none, as row `b`.
  void show(const float* observation, std::span<float> to, std::size_t b) const;

  std::size_t n_, obs_dim_, act_dim_, width_, slots_;
  bool absorbing_;
  std::vector<float> rows_;            // [slots, n, width], grown as it fills
  std::size_t head_ = 0, filled_ = 0;  // the slot written next, slots in use
};

}  // namespace diffreward
