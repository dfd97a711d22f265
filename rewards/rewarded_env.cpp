#include "rewards/rewarded_env.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "rewards/transitions.h"

namespace diffreward {
namespace {

/// The latest `length` rows of one instance's episode, one a step, in a ring. Before the episode's start the
/// ring holds copies of its first row.
class History {
 public:
  History(std::size_t length, std::size_t width) : length_(length), width_(width), rows_(length * width) {}

  /// Forgets everything; the next push is the first row of an episode.
  void clear() { empty_ = true; }
  void push(std::span<const float> row) {
    if (empty_) {
      for (std::size_t k = 0; k < length_; ++k) std::ranges::copy(row, at(k));
      empty_ = false;
    } else {
      newest_ = (newest_ + 1) % length_;
      std::ranges::copy(row, at(0));
    }
  }
  /// Rows `stride` apart, oldest first, ending with the newest: [rows, width].
  void window(std::size_t rows, std::size_t stride, std::span<float> out) const {
    for (std::size_t k = 0; k < rows; ++k)
      std::copy_n(at((rows - 1 - k) * stride), width_, out.begin() + static_cast<std::ptrdiff_t>(k * width_));
  }

  std::size_t state_size() const { return 1 + length_ * width_; }
  /// Whether there is a row, then all rows from newest to oldest.
  void state(double* out) const {  // [state_size()]
    *out++ = empty_ ? 0 : 1;
    for (std::size_t k = 0; k < length_; ++k) out = std::copy_n(at(k), width_, out);
  }
  void set_state(const double* in) {
    empty_ = *in++ == 0;
    newest_ = length_ - 1;
    for (std::size_t k = 0; k < length_; ++k, in += width_)
      std::transform(in, in + width_, at(k), [](double value) { return static_cast<float>(value); });
  }

 private:
  /// Row `age` steps before the newest.
  std::vector<float>::const_iterator at(std::size_t age) const {
    return rows_.begin() + static_cast<std::ptrdiff_t>((newest_ + length_ - age) % length_ * width_);
  }
  std::vector<float>::iterator at(std::size_t age) {
    return rows_.begin() + static_cast<std::ptrdiff_t>((newest_ + length_ - age) % length_ * width_);
  }

  std::size_t length_, width_;
  std::vector<float> rows_;  // [length, width]
  std::size_t newest_ = 0;
  bool empty_ = true;
};

}  // namespace

struct RewardedEnv::Impl {
  std::unique_ptr<VectorEnv> inner;
  std::shared_ptr<const RewardModel> reward;
  WindowLayout layout;
  Reads reads;
  std::size_t n, obs_dim, width;
  std::vector<History> histories;  // [n]
  std::vector<double> before;      // [n, obs_dim]  what the step is taken from; of rewards that read it
  std::vector<float> rows;         // [n, width]  the next row of each history
  std::vector<float> windows;      // [n, horizon, width]
  std::vector<float> scores;       // [n]
  std::vector<double> paid;        // [n]
  StepView view;
  bool lost = true;  // the histories do not belong to the instances' episodes

  void refresh_view() {
    view = inner->view();
    view.reward = paid;
  }

  void push_row(std::size_t i) { histories[i].push(std::span(rows).subspan(i * width, width)); }

  /// Starts the history of instance i with the first observation of its episode.
  void begin(std::size_t i) {
    histories[i].clear();
    if (reads != Reads::kReached) return;  // the first row is that of the first step
    transition_rows<double>(*reward, {.reached = view.obs.subspan(i * obs_dim, obs_dim)},
                            std::span(rows).subspan(i * width, width));
    push_row(i);
  }

  const StepView& begin_episodes(std::span<const std::uint8_t> mask) {
    refresh_view();
    bool all = true;
    for (std::size_t i = 0; i < n; ++i) {
      if (!mask.empty() && !mask[i]) {
        all = false;
        continue;
      }
      begin(i);
      paid[i] = 0;
    }
    if (all) lost = false;
    return view;
  }

  /// The score of each instance's latest window.
  void score() {
    const auto size = static_cast<std::size_t>(layout.size());
    for (std::size_t i = 0; i < n; ++i)
      histories[i].window(static_cast<std::size_t>(layout.horizon), static_cast<std::size_t>(layout.stride),
                          std::span(windows).subspan(i * size, size));
    reward->score(windows, scores);
  }

  std::size_t own_state_size() const { return n * (1 + histories[0].state_size()); }
};

RewardedEnv::RewardedEnv(std::unique_ptr<VectorEnv> inner, std::shared_ptr<const RewardModel> reward) {
  require(inner && reward, "RewardedEnv: expected an environment and a reward, got a null pointer");
  const EnvSpec& spec = inner->spec();
  const WindowLayout layout = reward->layout();
  const int obs_dim = static_cast<int>(spec.observation.size()),
            act_dim = static_cast<int>(spec.action.size());
  require(layout.observation_dim == obs_dim, "reward: expected ", obs_dim, " observation columns of ",
          spec.id, ", got ", layout.observation_dim);
  require(layout.action_dim == act_dim || (layout.action_dim == 0 && reward->reads() == Reads::kReached),
          "reward: expected ", act_dim, " action columns of ", spec.id, ", got ", layout.action_dim);
  require(layout.horizon >= 1 && layout.stride >= 1,
          "reward: expected windows of at least 1 row and stride, got ", layout.horizon, " rows and stride ",
          layout.stride);

  impl_ = std::make_unique<Impl>();
  Impl& m = *impl_;
  m.layout = layout;
  m.reads = reward->reads();
  m.n = static_cast<std::size_t>(inner->size());
  m.obs_dim = static_cast<std::size_t>(obs_dim);
  m.width = static_cast<std::size_t>(layout.width());
  const std::size_t length = static_cast<std::size_t>((layout.horizon - 1) * layout.stride + 1);
  m.histories.assign(m.n, History(length, m.width));
  m.before.resize(m.reads != Reads::kReached ? m.n * m.obs_dim : 0);
  m.rows.resize(m.n * m.width);
  m.windows.resize(m.n * static_cast<std::size_t>(layout.size()));
  m.scores.resize(m.n);
  m.paid.resize(m.n);
  m.inner = std::move(inner);
  m.reward = std::move(reward);
  m.refresh_view();
}

RewardedEnv::~RewardedEnv() = default;

const EnvSpec& RewardedEnv::spec() const {
  return impl_->inner->spec();
}
int RewardedEnv::size() const {
  return impl_->inner->size();
}
Autoreset RewardedEnv::autoreset() const {
  return impl_->inner->autoreset();
}
const StepView& RewardedEnv::view() const {
  return impl_->view;
}
Env& RewardedEnv::env(int i) {
  return impl_->inner->env(i);
}
const RewardModel& RewardedEnv::reward() const {
  return *impl_->reward;
}

const StepView& RewardedEnv::reset(const Streams& seeds) {
  impl_->lost = true;
  impl_->inner->reset(seeds);
  return impl_->begin_episodes({});
}

const StepView& RewardedEnv::reset(std::span<const std::uint8_t> mask, std::span<const Seed> seeds,
                                   std::span<const ResetOptions> options) {
  const bool was_lost = std::exchange(impl_->lost, true);
  impl_->inner->reset(mask, seeds, options);
  impl_->lost = was_lost;
  return impl_->begin_episodes(mask);
}

const StepView& RewardedEnv::step(std::span<const double> actions) {
  Impl& m = *impl_;
  if (m.lost)
    throw Error(concat(spec().id,
                       ": histories are unknown (never reset, or an instance failed): reset all instances"));
  if (m.reads != Reads::kReached) std::ranges::copy(m.view.obs, m.before.begin());
  try {
    m.inner->step(actions);
  } catch (const InvalidArgument&) {
    throw;  // nothing was stepped
  } catch (...) {
    m.lost = true;
    throw;
  }
  m.refresh_view();
  const auto over = [&](std::size_t i) { return m.view.terminated[i] || m.view.truncated[i]; };
  transition_rows<double>(*m.reward, {m.before, actions, m.view.final_obs}, m.rows);
  for (std::size_t i = 0; i < m.n; ++i) {
    if (m.view.reset[i] && !over(i)) {
      m.begin(i);  // next-step autoreset: this step was a reset
      continue;
    }
    m.push_row(i);
  }
  m.score();
  for (std::size_t i = 0; i < m.n; ++i) {
    m.paid[i] = m.view.reset[i] && !over(i) ? 0.0 : double{m.scores[i]};
    if (m.view.terminated[i]) m.paid[i] += m.reward->terminal();
    if (m.view.reset[i] && over(i)) m.begin(i);
  }
  return m.view;
}

std::vector<double> RewardedEnv::state() const {
  const Impl& m = *impl_;
  std::vector<double> out = m.inner->state();
  const std::size_t inner_size = out.size();
  out.resize(inner_size + m.own_state_size());
  double* next = out.data() + inner_size;
  for (std::size_t i = 0; i < m.n; ++i, next += m.histories[i].state_size()) {
    *next++ = m.paid[i];
    m.histories[i].state(next);
  }
  return out;
}

const StepView& RewardedEnv::set_state(std::span<const double> state) {
  Impl& m = *impl_;
  require(state.size() >= m.own_state_size(), spec().id, ": set_state: expected at least ",
          m.own_state_size(), " numbers, got ", state.size());
  m.lost = true;
  const std::size_t inner_size = state.size() - m.own_state_size();
  m.inner->set_state(state.first(inner_size));
  const double* next = state.data() + inner_size;
  for (std::size_t i = 0; i < m.n; ++i, next += m.histories[i].state_size()) {
    m.paid[i] = *next++;
    m.histories[i].set_state(next);
  }
  m.lost = false;
  m.refresh_view();
  return m.view;
}

}  // namespace diffreward
