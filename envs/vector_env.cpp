#include "envs/vector_env.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>

#include "core/error.h"
#include "core/thread_pool.h"
#include "envs/catalog.h"

namespace diffreward {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Autoreset autoreset_of(const std::string& name) {
  return name == "same_step"  ? Autoreset::kSameStep
         : name == "disabled" ? Autoreset::kDisabled
                              : Autoreset::kNextStep;
}

/// Whether all values are finite. A sum is used because it has no branch: x - x is 0 for finite x, else
/// not-a-number.
bool all_finite(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value - value;
  return sum == 0;
}

/// All instances live here; a thread works on a contiguous range of them and touches no other entry.
class NativeVectorEnv final : public VectorEnv {
 public:
  NativeVectorEnv(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config)
      : envs_(std::move(envs)),
        spec_(envs_.at(0)->spec()),
        mode_(autoreset_of(config.autoreset)),
        // More threads than instances would only wait.
        pool_(config.threads == 0 ? 0 : std::min(config.threads, int(envs_.size()))),
        obs_dim_(spec_.observation.size()),
        action_dim_(spec_.action.size()) {
    if (config.max_steps >= 0) spec_.max_steps = config.max_steps;
    const std::size_t n = envs_.size();
    obs_.assign(n * obs_dim_, kNan);
    final_obs_.assign(n * obs_dim_, kNan);
    reward_.assign(n, 0);
    terminated_.assign(n, 0);
    truncated_.assign(n, 0);
    reset_.assign(n, 0);
    steps_.assign(n, 0);
    failed_.assign(n, 1);  // nothing can be stepped before a reset
    errors_.resize(n);
    view_ = {obs_, final_obs_, reward_, reward_, terminated_, truncated_, reset_};
  }

  const EnvSpec& spec() const override { return spec_; }
  int size() const override { return int(envs_.size()); }
  Autoreset autoreset() const override { return mode_; }
  const StepView& view() const override { return view_; }

  Env& env(int i) override {
    require(i >= 0 && i < size(), spec_.id, ": env: expected an instance in [0, ", size(), "), got ", i);
    return *envs_[std::size_t(i)];
  }

  const StepView& reset(std::uint64_t seed) override {
    std::vector<std::uint64_t> seeds(envs_.size());
    for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = seed + i;
    return reset({}, seeds, {});
  }

  const StepView& reset(std::span<const std::uint8_t> mask, std::span<const std::uint64_t> seeds,
                        std::span<const ResetOptions> options) override {
    const std::size_t n = envs_.size();
    require(mask.empty() || mask.size() == n, spec_.id, ": reset: expected a mask of ", n, " entries, got ",
            mask.size());
    require(seeds.size() <= 1 || seeds.size() == n, spec_.id, ": reset: expected 0, 1 or ", n, " seeds, got ",
            seeds.size());
    require(options.size() <= 1 || options.size() == n, spec_.id, ": reset: expected 0, 1 or ", n,
            " options, got ", options.size());
    static const ResetOptions kNoOptions;
    run([&](std::size_t i) {
      if (!mask.empty() && !mask[i]) return;
      std::optional<std::uint64_t> seed;
      if (!seeds.empty()) seed = seeds[seeds.size() == 1 ? 0 : i];
      begin_episode(i, seed, options.empty() ? kNoOptions : options[options.size() == 1 ? 0 : i]);
    });
    return view_;
  }

  const StepView& step(std::span<const double> actions) override {
    require(actions.size() == envs_.size() * action_dim_, spec_.id, ": step: expected ", envs_.size(), " x ",
            action_dim_, " actions, got ", actions.size(), " numbers");
    if (!all_finite(actions)) [[unlikely]]
      refuse_actions(actions);
    check_ready();
    if (mode_ == Autoreset::kDisabled) check_running();
    run([&](std::size_t i) { step_one(i, actions.subspan(i * action_dim_, action_dim_)); });
    return view_;
  }

  std::vector<double> state() const override {
    check_ready();
    std::vector<double> out(envs_.size() * state_size());
    for (std::size_t i = 0; i < envs_.size(); ++i) {
      const std::span<double> row(out.data() + i * state_size(), state_size());
      envs_[i]->state(row.first(spec_.state_size));
      const std::span<double> rest = row.subspan(spec_.state_size);
      std::copy_n(final_obs_.begin() + std::ptrdiff_t(i * obs_dim_), obs_dim_, rest.begin());
      std::copy_n(std::array<double, 5>{reward_[i], double(steps_[i]), double(terminated_[i]),
                                        double(truncated_[i]), double(reset_[i])}
                      .begin(),
                  5, rest.begin() + std::ptrdiff_t(obs_dim_));
    }
    return out;
  }

  const StepView& set_state(std::span<const double> state) override {
    require(state.size() == envs_.size() * state_size(), spec_.id, ": set_state: expected ", envs_.size(),
            " x ", state_size(), " numbers, got ", state.size());
    run([&](std::size_t i) {
      const std::span<const double> row = state.subspan(i * state_size(), state_size());
      const std::span<const double> rest = row.subspan(spec_.state_size), counts = rest.subspan(obs_dim_);
      require(counts[1] >= 0 && counts[1] <= 1e15, spec_.id, ": set_state: expected a step count, got ",
              counts[1]);
      failed_[i] = 1;
      envs_[i]->set_state(row.first(spec_.state_size), row_of(obs_, i));
      std::copy_n(rest.begin(), obs_dim_, row_of(final_obs_, i).begin());
      reward_[i] = counts[0];
      steps_[i] = std::int64_t(counts[1]);
      terminated_[i] = counts[2] != 0;
      truncated_[i] = counts[3] != 0;
      reset_[i] = counts[4] != 0;
      failed_[i] = 0;
    });
    return view_;
  }

 private:
  std::size_t state_size() const { return spec_.state_size + obs_dim_ + 5; }
  std::span<double> row_of(std::vector<double>& values, std::size_t i) const {
    return {values.data() + i * obs_dim_, obs_dim_};
  }

  /// one(i) for every instance, in parallel; then rethrows the error of the first instance that threw.
  template <class One>
  void run(const One& one) {
    any_failed_.store(false, std::memory_order_relaxed);
    pool_.parallel_for(envs_.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        try {
          one(i);
        } catch (...) {
          fail(i, std::current_exception());
        }
      }
    });
    if (any_failed_.load(std::memory_order_relaxed)) [[unlikely]]
      rethrow_first();
  }

  void fail(std::size_t i, std::exception_ptr error) {
    std::ranges::fill(row_of(obs_, i), kNan);
    std::ranges::fill(row_of(final_obs_, i), kNan);
    reward_[i] = kNan;
    terminated_[i] = truncated_[i] = reset_[i] = 0;
    failed_[i] = 1;
    errors_[i] = std::move(error);
    any_failed_.store(true, std::memory_order_relaxed);
  }

  void rethrow_first() {
    std::exception_ptr first;
    for (std::exception_ptr& error : errors_) {
      if (error && !first) first = error;
      error = nullptr;
    }
    ready_ = false;
    std::rethrow_exception(first);
  }

  void begin_episode(std::size_t i, std::optional<std::uint64_t> seed, const ResetOptions& options) {
    failed_[i] = 1;
    envs_[i]->reset(seed, options, row_of(obs_, i));
    std::ranges::copy(row_of(obs_, i), row_of(final_obs_, i).begin());
    reward_[i] = 0;
    steps_[i] = 0;
    terminated_[i] = truncated_[i] = 0;
    reset_[i] = 1;
    failed_[i] = 0;
  }

  void step_one(std::size_t i, std::span<const double> action) {
    static const ResetOptions kNoOptions;
    if (mode_ == Autoreset::kNextStep && (terminated_[i] || truncated_[i])) {
      begin_episode(i, std::nullopt, kNoOptions);
      return;
    }
    const std::span<double> obs = row_of(obs_, i);
    const StepResult result = envs_[i]->step(action, obs);
    ++steps_[i];
    std::ranges::copy(obs, row_of(final_obs_, i).begin());
    reward_[i] = result.reward;
    terminated_[i] = result.terminated;
    truncated_[i] = !result.terminated && spec_.max_steps > 0 && steps_[i] >= spec_.max_steps;
    reset_[i] = 0;
    if (mode_ == Autoreset::kSameStep && (terminated_[i] || truncated_[i])) {
      envs_[i]->reset(std::nullopt, kNoOptions, obs);
      steps_[i] = 0;
      reset_[i] = 1;
    }
  }

  [[noreturn]] void refuse_actions(std::span<const double> actions) const {
    std::size_t k = 0;
    while (std::isfinite(actions[k])) ++k;
    throw InvalidArgument(concat(spec_.id, ": step: action ", k % action_dim_, " of instance ",
                                 k / action_dim_, ": expected a finite number, got ", actions[k]));
  }

  /// Remembers a positive answer, so that a step pays one test for it.
  void check_ready() const {
    if (ready_) [[likely]]
      return;
    for (std::size_t i = 0; i < failed_.size(); ++i)
      if (failed_[i])
        throw Error(concat(spec_.id, ": instance ", i,
                           " has no episode (never reset, or it failed): reset it first"));
    ready_ = true;
  }

  void check_running() const {
    for (std::size_t i = 0; i < envs_.size(); ++i)
      require(!terminated_[i] && !truncated_[i], spec_.id, ": step: the episode of instance ", i,
              " has ended: with autoreset 'disabled' reset it by mask first");
  }

  std::vector<std::unique_ptr<Env>> envs_;
  EnvSpec spec_;
  Autoreset mode_;
  ThreadPool pool_;
  std::size_t obs_dim_, action_dim_;

  std::vector<double> obs_, final_obs_;                       // [n, obs_dim]
  std::vector<double> reward_;                                // [n]
  std::vector<std::uint8_t> terminated_, truncated_, reset_;  // [n]
  std::vector<std::int64_t> steps_;                           // [n] since the episode began
  std::vector<std::uint8_t> failed_;                          // [n] the instance has no episode to step
  std::vector<std::exception_ptr> errors_;                    // [n] of the running call
  std::atomic<bool> any_failed_{false};
  mutable bool ready_ = false;
  StepView view_;
};

}  // namespace

std::unique_ptr<VectorEnv> make_vector(const std::string& id, const VectorConfig& config,
                                       const Json& options) {
  validate(config);
  std::vector<std::unique_ptr<Env>> envs;
  for (int i = 0; i < config.count; ++i) envs.push_back(make_env(id, options));
  return make_vector(std::move(envs), config);
}

std::unique_ptr<VectorEnv> make_vector(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config) {
  validate(config);
  require(!envs.empty(), "make_vector: expected at least one environment, got none");
  for (const std::unique_ptr<Env>& env : envs) {
    require(env != nullptr, "make_vector: expected environments, got a null pointer");
    const EnvSpec &spec = env->spec(), &first = envs[0]->spec();
    require(spec.id == first.id && spec.state_size == first.state_size &&
                spec.observation.size() == first.observation.size() &&
                spec.action.size() == first.action.size(),
            "make_vector: expected equal specs, got ", first.id, " and ", spec.id);
  }
  return std::make_unique<NativeVectorEnv>(std::move(envs), config);
}

}  // namespace diffreward
