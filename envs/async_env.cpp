#include "envs/async_env.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <numeric>
#include <thread>

#include "core/waiting.h"
#include "envs/instance_batch.h"

namespace diffreward {

// Two rings of instance numbers, each with a place for every instance, so that neither can overflow. The
// caller writes the sent ring; workers take from it by moving its head. Workers claim places of the finished
// ring by moving its tail, and the caller reads it. Locks are for sleeping only.
struct AsyncEnv::Shared {
  struct Job {
    bool resets = false;
    std::optional<Seed> seed;
    ResetOptions options;  // of a reset
  };

  Shared(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config)
      : batch(std::move(envs), config),
        jobs(batch.size()),
        actions(batch.size() * batch.action_dim),
        flying(batch.size(), 0),
        mask(std::bit_ceil(batch.size()) - 1),
        sent(mask + 1),
        finished(mask + 1),
        ids(batch.size()),
        obs(batch.obs.size()),
        final_obs(batch.obs.size()),
        reward(batch.size()),
        terminated(batch.size()),
        truncated(batch.size()),
        reset(batch.size()),
        info(batch.info.size()),
        final_info(batch.info.size()) {
    const int cores = std::max(1, int(std::thread::hardware_concurrency()));
    const int threads = std::min(config.threads == 0 ? cores : config.threads, int(batch.size()));
    spins = spins_for(threads);
    caller_spins = spins_for(threads + 1);
    for (int i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
  }

  ~Shared() {
    stop = true;
    sent_bell.ring(true);
    for (std::thread& worker : workers) worker.join();
  }

  // The workers' side.

  void work() {
    std::size_t i;
    while (take(i)) {
      const bool done = batch.attempt(i, [&] { run(i); });
      const std::uint64_t place = finished_tail++;
      finished[place & mask] = done ? int(i) + 1 : -int(i) - 1;
      if (!done) ++failures;  // counted when it can be found
      if (!done || place + 1 >= wanted) finished_bell.ring();
    }
  }

  /// The next instance that was sent; false at the end.
  bool take(std::size_t& i) {
    for (;;) {
      if (stop) return false;
      std::uint64_t head = sent_head;
      while (head < sent_tail) {
        // Read before it is claimed: the place may be written anew only after the head has moved on, and then
        // the claim fails.
        i = std::size_t(sent[head & mask].load(std::memory_order_relaxed));
        if (sent_head.compare_exchange_weak(head, head + 1)) return true;
      }
      sent_bell.wait([this] { return stop || sent_head < sent_tail; }, spins);
    }
  }

  void run(std::size_t i) {
    if (jobs[i].resets)
      batch.begin_episode(i, jobs[i].seed, jobs[i].options);
    else
      batch.step(i, action_of(i));
  }

  // The caller's side.

  std::span<double> action_of(std::size_t i) {
    return {actions.data() + i * batch.action_dim, batch.action_dim};
  }

  std::size_t checked(int id, const char* what) const {
    require(id >= 0 && std::size_t(id) < batch.size(), batch.spec.id, ": ", what,
            ": expected an instance in [0, ", batch.size(), "), got ", id);
    return std::size_t(id);
  }
  void check_landed(std::size_t i, const char* what) const {
    require(!flying[i], batch.spec.id, ": ", what, ": instance ", i,
            " is in flight: receive its result first");
  }

  /// Marks all ids as in flight, or throws and marks none. `check` may refuse one.
  template <class Check>
  void launch(std::span<const int> list, const char* what, const Check& check) {
    std::size_t k = 0;
    try {
      for (; k < list.size(); ++k) {
        const std::size_t i = checked(list[k], what);
        check_landed(i, what);
        check(k, i);
        flying[i] = 1;
      }
    } catch (...) {
      while (k > 0) flying[std::size_t(list[--k])] = 0;
      throw;
    }
  }

  /// Hands instances that were launched to the workers.
  void publish(std::span<const int> list) {
    if (list.empty()) return;
    std::uint64_t tail = sent_tail;
    for (const int id : list) sent[tail++ & mask].store(id, std::memory_order_relaxed);
    in_flight += list.size();
    sent_tail = tail;
    sent_bell.ring(list.size() > 1);
  }

  /// Takes over what has finished. Throws InstanceError at the first failure.
  void collect() {
    for (const std::uint64_t end = finished_tail; finished_head < end;) {
      std::atomic<int>& place = finished[finished_head & mask];
      int value;
      while ((value = place) == 0) std::this_thread::yield();  // claimed, and about to be written
      place.store(0, std::memory_order_relaxed);
      ++finished_head;
      if (value > 0) {
        ids[held++] = value - 1;
        continue;
      }
      ++failures_told;
      throw_error(std::size_t(-value - 1));
    }
  }

  [[noreturn]] void throw_error(std::size_t i) {
    flying[i] = 0;
    --in_flight;
    std::string message;
    try {
      batch.rethrow(i);
    } catch (const Error& error) {
      message = error.what();
    } catch (const std::exception& error) {
      message = batch.told(i, error.what());
    } catch (...) {
      message = batch.told(i, "unknown error");
    }
    throw InstanceError(int(i), message);
  }

  const AsyncBatch& receive(std::size_t min) {
    require(min <= in_flight, batch.spec.id, ": recv: expected at most as many results as are in flight, ",
            in_flight, ", got ", min);
    if (held < min) {
      wanted = finished_head + (min - held);
      finished_bell.wait([this] { return finished_tail >= wanted || failures > failures_told; },
                         caller_spins);
    }
    collect();
    const std::size_t m = held, dim = batch.obs_dim, info_dim = batch.info_dim;
    for (std::size_t k = 0; k < m; ++k) {
      const auto i = std::size_t(ids[k]);
      std::ranges::copy(batch.obs_of(i), obs.begin() + std::ptrdiff_t(k * dim));
      std::ranges::copy(batch.final_obs_of(i), final_obs.begin() + std::ptrdiff_t(k * dim));
      std::ranges::copy(batch.info_of(i), info.begin() + std::ptrdiff_t(k * info_dim));
      std::ranges::copy(batch.final_info_of(i), final_info.begin() + std::ptrdiff_t(k * info_dim));
      reward[k] = batch.reward[i];
      terminated[k] = batch.terminated[i];
      truncated[k] = batch.truncated[i];
      reset[k] = batch.reset[i];
      flying[i] = 0;
    }
    in_flight -= m;
    held = 0;
    const auto first = [](const auto& values, std::size_t n) { return std::span(values).first(n); };
    result = {first(ids, m),    first(obs, m * dim),       first(final_obs, m * dim),
              first(reward, m), first(terminated, m),      first(truncated, m),
              first(reset, m),  first(info, m * info_dim), first(final_info, m * info_dim)};
    return result;
  }

  // An instance's entries belong to a worker while it is in flight, else to the caller; the rings hand them
  // over.
  InstanceBatch batch;
  std::vector<Job> jobs;        // [n]
  std::vector<double> actions;  // [n, act_dim]

  // The caller's own.
  std::vector<std::uint8_t> flying;  // [n]
  std::size_t in_flight = 0;
  std::uint64_t finished_head = 0;
  std::uint64_t failures_told = 0;

  std::size_t mask;                        // of a place in a ring
  std::vector<std::atomic<int>> sent;      // instances
  std::vector<std::atomic<int>> finished;  // instance + 1, negative if it failed; 0: not written yet
  std::atomic<std::uint64_t> sent_head{0}, sent_tail{0};
  std::atomic<std::uint64_t> finished_tail{0}, failures{0};
  std::atomic<std::uint64_t> wanted{0};  // the caller sleeps until finished_tail has got here
  std::atomic<bool> stop{false};
  Doorbell sent_bell, finished_bell;
  int spins = 0, caller_spins = 0;

  // The latest results: ids [held] are those that an error has held back.
  std::vector<int> ids;
  std::size_t held = 0;
  std::vector<double> obs, final_obs, reward;
  std::vector<std::uint8_t> terminated, truncated, reset;
  std::vector<double> info, final_info;
  AsyncBatch result;

  std::vector<std::thread> workers;
};

AsyncEnv::AsyncEnv(const std::string& id, const VectorConfig& config, const Json& options) {
  validate(config);
  shared_ = std::make_unique<Shared>(make_instances(id, config.count, options), config);
}

AsyncEnv::AsyncEnv(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config) {
  validate(config);
  shared_ = std::make_unique<Shared>(std::move(envs), config);
}

AsyncEnv::~AsyncEnv() = default;

const EnvSpec& AsyncEnv::spec() const {
  return shared_->batch.spec;
}
int AsyncEnv::size() const {
  return int(shared_->batch.size());
}
Autoreset AsyncEnv::autoreset() const {
  return shared_->batch.mode;
}
int AsyncEnv::in_flight() const {
  return int(shared_->in_flight);
}

void AsyncEnv::reset(const Streams& seeds) {
  std::vector<int> ids(shared_->batch.size());
  std::iota(ids.begin(), ids.end(), 0);
  send_reset(ids, seeds_of(seeds, ids.size()));
}

void AsyncEnv::send_reset(std::span<const int> ids, std::span<const Seed> seeds,
                          std::span<const ResetOptions> options) {
  Shared& s = *shared_;
  const std::size_t n = ids.size();
  require(seeds.size() <= 1 || seeds.size() == n, spec().id, ": send_reset: expected 0, 1 or ", n,
          " seeds, got ", seeds.size());
  require(options.size() <= 1 || options.size() == n, spec().id, ": send_reset: expected 0, 1 or ", n,
          " options, got ", options.size());
  s.launch(ids, "send_reset", [](std::size_t, std::size_t) {});
  for (std::size_t k = 0; k < n; ++k) {
    Shared::Job& job = s.jobs[std::size_t(ids[k])];
    job.resets = true;
    job.seed.reset();
    if (!seeds.empty()) job.seed = seeds[seeds.size() == 1 ? 0 : k];
    job.options = options.empty() ? ResetOptions{} : options[options.size() == 1 ? 0 : k];
  }
  s.publish(ids);
}

void AsyncEnv::send(std::span<const int> ids, std::span<const double> actions) {
  Shared& s = *shared_;
  const std::size_t dim = s.batch.action_dim;
  require(actions.size() == ids.size() * dim, spec().id, ": send: expected ", ids.size(), " x ", dim,
          " actions, got ", actions.size(), " numbers");
  s.launch(ids, "send", [&](std::size_t k, std::size_t i) {
    s.batch.check_action(i, actions.subspan(k * dim, dim));
    s.batch.check_episode(i);
    if (s.batch.mode == Autoreset::kDisabled) s.batch.check_running(i);
  });
  for (std::size_t k = 0; k < ids.size(); ++k) {
    const auto i = std::size_t(ids[k]);
    s.jobs[i].resets = false;
    std::ranges::copy(actions.subspan(k * dim, dim), s.action_of(i).begin());
  }
  s.publish(ids);
}

const AsyncBatch& AsyncEnv::recv(int min) {
  require(min >= 0, spec().id, ": recv: expected a number of results, got ", min);
  return shared_->receive(std::size_t(min));
}

Env& AsyncEnv::env(int i) {
  const std::size_t index = shared_->checked(i, "env");
  shared_->check_landed(index, "env");
  return *shared_->batch.envs[index];
}

}  // namespace diffreward
