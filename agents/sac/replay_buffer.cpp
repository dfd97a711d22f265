#include "agents/sac/replay_buffer.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace diffreward {
namespace {

/// Bytes of memory of this machine.
double physical_memory() {
  return double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
}

}  // namespace

ReplayBuffer::ReplayBuffer(std::int64_t capacity, std::size_t instances, std::size_t obs_dim,
                           std::size_t act_dim, bool absorbing)
    : n_(instances),
      obs_dim_(obs_dim),
      act_dim_(act_dim),
      width_(2 * obs_dim + act_dim + 3),
      slots_(std::max<std::size_t>(1, static_cast<std::size_t>(capacity) / instances)),
      absorbing_(absorbing) {
  const double row = double(width_) * sizeof(float), most = physical_memory() / row;
  require(double(slots_) * double(n_) <= most, "buffer: expected at most ", std::int64_t(most),
          " transitions of ", row, " bytes in this machine's memory, got ", capacity);
}

void ReplayBuffer::add(std::span<const double> obs, std::span<const float> actions, const StepView& after) {
  const auto check = [&](std::span<const double> values, std::size_t columns, const char* what) {
    for (std::size_t k = 0; k < values.size(); ++k)
      if (!std::isfinite(values[k]))
        throw Error(
            concat(what, " of instance ", k / columns, ": expected a finite number, found ", values[k]));
  };
  check(obs, obs_dim_, "observation");
  check(after.final_obs, obs_dim_, "observation reached");
  check(after.reward, 1, "reward");
  if (rows_.size() < slots_ * n_ * width_ && head_ * n_ * width_ == rows_.size())
    rows_.resize(std::min(slots_, std::max<std::size_t>(2 * filled_, 1)) * n_ * width_);
  float* to = rows_.data() + head_ * n_ * width_;
  for (std::size_t i = 0; i < n_; ++i) {
    const auto copy = [&](const auto& from, std::size_t columns) {
      for (std::size_t c = 0; c < columns; ++c) *to++ = static_cast<float>(from[i * columns + c]);
    };
    copy(obs, obs_dim_);
    copy(actions, act_dim_);
    copy(after.final_obs, obs_dim_);
    *to++ = static_cast<float>(after.reward[i]);
    *to++ = after.terminated[i] ? 1.0f : 0.0f;
    *to++ = after.terminated[i] || after.truncated[i] ? 1.0f : 0.0f;
  }
  head_ = (head_ + 1) % slots_;
  filled_ = std::min(filled_ + 1, slots_);
}

void ReplayBuffer::show(const float* observation, std::span<float> to, std::size_t b) const {
  float* out = to.data() + b * observation_width();
  if (observation != nullptr)
    out = std::copy_n(observation, obs_dim_, out);
  else
    out = std::fill_n(out, obs_dim_, 0.0f);
  if (absorbing_) *out = observation != nullptr ? 0.0f : 1.0f;
}

void ReplayBuffer::sample(Rng& rng, int n_step, double gamma, const ReplayBatch& batch) const {
  require(filled_ > 0, "sample: expected transitions, found none");
  const std::size_t oldest = filled_ < slots_ ? 0 : head_;
  for (std::size_t b = 0; b < batch.reward.size(); ++b) {
    const std::uint64_t drawn = rng.below(filled_ * n_);
    const std::size_t age = drawn / n_, i = drawn % n_;  // steps after the oldest
    const float* first = row((oldest + age) % slots_, i);
    show(first, batch.observation, b);
    std::copy_n(first + obs_dim_, act_dim_, batch.action.data() + b * act_dim_);
    const float* at = first;
    double total = 0, discount = 1;
    for (int k = 0;; ++k) {
      const float* told = at + width_ - 3;  // reward, terminated, ended
      total += discount * double{told[0]};
      discount *= gamma;
      if (k + 1 == n_step || told[2] != 0 || age + std::size_t(k) + 1 == filled_) break;
      at = row((oldest + age + std::size_t(k) + 1) % slots_, i);
    }
    const bool terminated = at[width_ - 2] != 0, absorbed = terminated && absorbing_;
    batch.reward[b] = static_cast<float>(total);
    batch.discount[b] = terminated && !absorbing_ ? 0.0f : static_cast<float>(discount);
    show(absorbed ? nullptr : at + obs_dim_ + act_dim_, batch.next_observation, b);
    if (!absorbed || b + 1 == batch.reward.size()) continue;
    ++b;  // the absorbing state's own transition
    show(nullptr, batch.observation, b);
    std::fill_n(batch.action.data() + b * act_dim_, act_dim_, 0.0f);
    batch.reward[b] = 0.0f;
    batch.discount[b] = static_cast<float>(gamma);
    show(nullptr, batch.next_observation, b);
  }
}

std::vector<float> ReplayBuffer::rows() const {
  const std::size_t step = n_ * width_, oldest = filled_ < slots_ ? 0 : head_;
  std::vector<float> out;
  out.reserve(filled_ * step);
  for (std::size_t k = 0; k < filled_; ++k) {
    const float* from = row((oldest + k) % slots_, 0);
    out.insert(out.end(), from, from + step);
  }
  return out;
}

void ReplayBuffer::set_rows(std::span<const float> rows) {
  const std::size_t step = n_ * width_;
  require(rows.size() % step == 0, "rows of the replay buffer: expected whole steps of ", n_, " times ",
          width_, " numbers, found ", rows.size());
  require(rows.size() <= slots_ * step, "rows of the replay buffer: expected at most ", slots_ * n_,
          ", found ", rows.size() / width_);
  rows_.assign(rows.begin(), rows.end());
  filled_ = rows.size() / step;
  head_ = filled_ % slots_;
}

}  // namespace diffreward
