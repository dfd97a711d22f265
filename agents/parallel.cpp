#include "agents/parallel.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

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
  constexpr int kMost = 4;  // where more would be needed, the machine has cores to spare
  static std::atomic<bool> done{false};
  const int needed = omp_get_num_procs() + 1 - at::get_num_threads();
  if (at::get_num_threads() < 2 || needed > kMost || ::dlsym(RTLD_DEFAULT, "GOMP_parallel") == nullptr ||
      std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr ||
      done.exchange(true))
    return;
  std::promise<void> promise;
  const std::future<void> begun = promise.get_future();
  sigset_t all, before;  // signals are for the other threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([promise = std::move(promise),
                 team = std::max(needed, 1) + 1]() mutable {  // one is the thread itself
#pragma omp parallel num_threads(team)
      {}
      promise.set_value();
      for (;;) ::pause();
    })
        .detach();
    begun.wait();
  } catch (const std::system_error&) {  // no more threads may be made: nothing is lost
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void stay_in_this_thread() {
  at::init_num_threads();  // which would set their number later
  omp_set_num_threads(1);
}

}  // namespace diffreward
