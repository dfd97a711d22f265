#include "envs/vector_env.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "core/error.h"
#include "core/thread_pool.h"
#include "envs/catalog.h"
#include "envs/instance_batch.h"

namespace diffreward {
namespace {

/// All instances live here; a thread works on a contiguous range of them and touches no other entry.
class NativeVectorEnv final : public VectorEnv {
 public:
  NativeVectorEnv(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config)
      : batch_(std::move(envs), config),
        // More threads than instances would only wait.
        pool_(config.threads == 0 ? 0 : std::min(config.threads, int(batch_.size()))),
        view_{batch_.obs,       batch_.final_obs, batch_.reward, batch_.reward,    batch_.terminated,
              batch_.truncated, batch_.reset,     batch_.info,   batch_.final_info} {}

  const EnvSpec& spec() const override { return batch_.spec; }
  int size() const override { return int(batch_.size()); }
  Autoreset autoreset() const override { return batch_.mode; }
  const StepView& view() const override { return view_; }

  Env& env(int i) override {
    require(i >= 0 && i < size(), spec().id, ": env: expected an instance in [0, ", size(), "), got ", i);
    return *batch_.envs[std::size_t(i)];
  }

  const StepView& reset(const Streams& seeds) override {
    return reset({}, seeds_of(seeds, batch_.size()), {});
  }

  const StepView& reset(std::span<const std::uint8_t> mask, std::span<const Seed> seeds,
                        std::span<const ResetOptions> options) override {
    const std::size_t n = batch_.size();
    require(mask.empty() || mask.size() == n, spec().id, ": reset: expected a mask of ", n, " entries, got ",
            mask.size());
    require(seeds.size() <= 1 || seeds.size() == n, spec().id, ": reset: expected 0, 1 or ", n,
            " seeds, got ", seeds.size());
    require(options.size() <= 1 || options.size() == n, spec().id, ": reset: expected 0, 1 or ", n,
            " options, got ", options.size());
    static const ResetOptions kNoOptions;
    run([&](std::size_t i) {
      if (!mask.empty() && !mask[i]) return;
      std::optional<Seed> seed;
      if (!seeds.empty()) seed = seeds[seeds.size() == 1 ? 0 : i];
      batch_.begin_episode(i, seed, options.empty() ? kNoOptions : options[options.size() == 1 ? 0 : i]);
    });
    return view_;
  }

  const StepView& step(std::span<const double> actions) override {
    const std::size_t n = batch_.size(), dim = batch_.action_dim;
    require(actions.size() == n * dim, spec().id, ": step: expected ", n, " x ", dim, " actions, got ",
            actions.size(), " numbers");
    if (!all_finite(actions)) [[unlikely]]
      for (std::size_t i = 0; i < n; ++i) batch_.check_action(i, actions.subspan(i * dim, dim));
    check_episodes();
    if (batch_.mode == Autoreset::kDisabled)
      for (std::size_t i = 0; i < n; ++i) batch_.check_running(i);
    run([&](std::size_t i) { batch_.step(i, actions.subspan(i * dim, dim)); });
    return view_;
  }

  std::vector<double> state() const override {
    check_episodes();
    std::vector<double> out(batch_.size() * state_size());
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      const std::span<double> row(out.data() + i * state_size(), state_size());
      batch_.envs[i]->state(row.first(spec().state_size));
      auto rest = row.begin() + std::ptrdiff_t(spec().state_size);
      const auto append = [&](const double* values, std::size_t n) { rest = std::copy_n(values, n, rest); };
      append(batch_.final_obs.data() + i * batch_.obs_dim, batch_.obs_dim);
      append(batch_.final_info.data() + i * batch_.info_dim, batch_.info_dim);
      const std::array<double, 5> counts = {batch_.reward[i], double(batch_.steps[i]),
                                            double(batch_.terminated[i]), double(batch_.truncated[i]),
                                            double(batch_.reset[i])};
      append(counts.data(), counts.size());
    }
    return out;
  }

  const StepView& set_state(std::span<const double> state) override {
    require(state.size() == batch_.size() * state_size(), spec().id, ": set_state: expected ", batch_.size(),
            " x ", state_size(), " numbers, got ", state.size());
    run([&](std::size_t i) {
      const std::span<const double> row = state.subspan(i * state_size(), state_size());
      const std::span<const double> final_obs = row.subspan(spec().state_size, batch_.obs_dim),
                                    final_info =
                                        row.subspan(spec().state_size + batch_.obs_dim, batch_.info_dim),
                                    counts = row.last(5);
      require(counts[1] >= 0 && counts[1] <= 1e15, spec().id, ": set_state: expected a step count, got ",
              counts[1]);
      batch_.failed[i] = 1;
      batch_.envs[i]->set_state(row.first(spec().state_size), batch_.obs_of(i));
      batch_.envs[i]->info(batch_.info_of(i));
      std::ranges::copy(final_obs, batch_.final_obs_of(i).begin());
      std::ranges::copy(final_info, batch_.final_info_of(i).begin());
      batch_.reward[i] = counts[0];
      batch_.steps[i] = std::int64_t(counts[1]);
      batch_.terminated[i] = counts[2] != 0;
      batch_.truncated[i] = counts[3] != 0;
      batch_.reset[i] = counts[4] != 0;
      batch_.failed[i] = 0;
    });
    return view_;
  }

 private:
  std::size_t state_size() const { return spec().state_size + batch_.obs_dim + batch_.info_dim + 5; }

  /// one(i) for every instance, in parallel; then rethrows the error of the first instance that threw.
  template <class One>
  void run(const One& one) {
    any_failed_.store(false, std::memory_order_relaxed);
    pool_.parallel_for(batch_.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i)
        if (!batch_.attempt(i, [&] { one(i); })) any_failed_.store(true, std::memory_order_relaxed);
    });
    if (any_failed_.load(std::memory_order_relaxed)) [[unlikely]]
      rethrow_first();
  }

  [[noreturn]] void rethrow_first() {
    ready_ = false;
    const auto failed = [](const std::exception_ptr& error) { return error != nullptr; };
    const auto first = std::ranges::find_if(batch_.errors, failed);
    std::fill(first + 1, batch_.errors.end(), nullptr);
    batch_.rethrow(std::size_t(first - batch_.errors.begin()));
  }

  /// Remembers a positive answer, so that a step pays one test for it.
  void check_episodes() const {
    if (ready_) [[likely]]
      return;
    for (std::size_t i = 0; i < batch_.size(); ++i) batch_.check_episode(i);
    ready_ = true;
  }

  InstanceBatch batch_;
  ThreadPool pool_;
  std::atomic<bool> any_failed_{false};
  mutable bool ready_ = false;
  StepView view_;
};

}  // namespace

std::unique_ptr<VectorEnv> make_vector(const std::string& id, const VectorConfig& config,
                                       const Json& options) {
  validate(config);
  return make_vector(make_instances(id, config.count, options), config);
}

std::unique_ptr<VectorEnv> make_vector(const EnvConfig& env, const VectorConfig& config) {
  return make_vector(env.id, config, env.options);
}

std::unique_ptr<VectorEnv> make_vector(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config) {
  validate(config);
  return std::make_unique<NativeVectorEnv>(std::move(envs), config);
}

}  // namespace diffreward
