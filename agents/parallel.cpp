#include "agents/parallel.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>

namespace diffreward {

void parallel_each(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 1) return body(0);  // which may then have loops of its own
  std::atomic<std::size_t> next{0};
  const auto threads = std::min<std::int64_t>(at::get_num_threads(), std::int64_t(count));
  at::parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
    for (std::size_t i = next++; i < count; i = next++) body(i);
  });
}

// libgomp has no call for this after it is loaded, but a rule (its manual on GOMP_SPINCOUNT): a thread that
// waits looks 300,000 times before it sleeps, and 100 times where the process has more OpenMP threads than
// there are cores. A team that sleeps forever makes them more.
void wait_briefly() {
  static std::mutex mutex;
  static int asleep = 0;
  const int threads = at::get_num_threads(), needed = omp_get_num_procs() + 1 - threads;
  const std::lock_guard lock(mutex);
  if (threads < 2 || needed <= asleep || std::getenv("GOMP_SPINCOUNT") != nullptr ||
      std::getenv("OMP_WAIT_POLICY") != nullptr)
    return;
  std::promise<void> begun;
  std::thread([&begun, team = needed - asleep + 1] {  // the first of a team counts as the process's own
#pragma omp parallel num_threads(team)
    {}
    begun.set_value();
    for (;;) ::pause();
  })
      .detach();
  begun.get_future().wait();
  asleep = needed;
}

void stay_in_this_thread() {
  at::init_num_threads();  // which would set their number later
  omp_set_num_threads(1);
}

}  // namespace diffreward
