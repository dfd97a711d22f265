#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/waiting.h"

namespace diffreward {
// A loop is published under the mutex with a new generation number; every thread, the caller included, then
// takes chunks until none is left: large ones first, to keep the counter cool, and single iterations at the
// end, so that no thread waits long for another. Workers enter a loop under the mutex while it is open. The
// caller closes it when no chunk is left and waits for those who entered: a worker that wakes late costs
// nothing.
struct ThreadPool::Shared {
  std::mutex mutex;
  std::condition_variable wake, idle;
  std::atomic<std::uint64_t> generation{0};  // changes under the mutex
  std::atomic<bool> stop{false};
  bool open = false;           // under the mutex, as the next two
  int asleep = 0;              // workers waiting on `wake`
  std::exception_ptr error;    // the first of the loop
  std::atomic<int> inside{0};  // workers that entered the loop; grows under the mutex
  int spins = 0;

  Task task = nullptr;  // these describe the open loop
  void* context = nullptr;
  std::size_t size = 0, shares = 1;  // a chunk is the remaining iterations divided by `shares`
  std::atomic<std::size_t> next{0};

  std::vector<std::thread> workers;

  void take_chunks() {
    std::size_t begin = next.load(std::memory_order_relaxed);
    while (begin < size) {
      const std::size_t end = begin + std::max<std::size_t>(1, (size - begin) / shares);
      if (!next.compare_exchange_weak(begin, end, std::memory_order_relaxed)) continue;
      try {
        task(context, begin, end);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      begin = next.load(std::memory_order_relaxed);
    }
  }

  void work() {
    std::uint64_t seen = 0;
    const auto ready = [&] { return stop || generation != seen; };
    for (;;) {
      const bool awake = spin_until(ready, spins);
      {
        std::unique_lock lock(mutex);
        if (!awake) {
          ++asleep;
          wake.wait(lock, ready);
          --asleep;
        }
        if (stop) return;
        seen = generation;
        if (!open) continue;
        ++inside;
      }
      take_chunks();
      if (--inside == 0) {
        const std::lock_guard lock(mutex);  // or the caller could miss it between its check and its sleep
        idle.notify_one();
      }
    }
  }
};

ThreadPool::ThreadPool(int threads) : shared_(std::make_unique<Shared>()) {
  threads_ = threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  // Loops that follow each other closely, as the steps of a batch of environments do, then never sleep.
  shared_->spins = spins_for(threads_);
  for (int i = 1; i < threads_; ++i)
    shared_->workers.emplace_back([shared = shared_.get()] { shared->work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->wake.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run(std::size_t n, Task task, void* context) {
  if (n == 0) return;
  if (threads_ == 1 || n == 1) {
    task(context, 0, n);
    return;
  }
  Shared& s = *shared_;
  bool anyone_asleep;
  {
    const std::lock_guard lock(s.mutex);
    s.task = task;
    s.context = context;
    s.size = n;
    s.shares = static_cast<std::size_t>(threads_) * 2;
    s.next = 0;
    s.error = nullptr;
    s.open = true;
    ++s.generation;
    anyone_asleep = s.asleep > 0;
  }
  if (anyone_asleep) s.wake.notify_all();
  s.take_chunks();
  const auto done = [&] { return s.inside == 0; };
  std::unique_lock lock(s.mutex);
  s.open = false;
  if (!done()) {
    lock.unlock();
    spin_until(done, s.spins);
    lock.lock();
    s.idle.wait(lock, done);
  }
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace diffreward
