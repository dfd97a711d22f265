#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace diffreward {

// A loop is published under the mutex with a new generation number; every thread, the caller included,
// then takes chunks from an atomic counter until none is left.
struct ThreadPool::Shared {
  std::mutex mutex;
  std::condition_variable wake, idle;
  std::uint64_t generation = 0;
  int busy = 0;
  bool stop = false;

  Task task = nullptr;
  void* context = nullptr;
  std::size_t size = 0, chunk = 1;
  std::atomic<std::size_t> next{0};
  std::exception_ptr error;

  std::vector<std::thread> workers;

  void take_chunks() {
    for (;;) {
      const std::size_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= size) return;
      try {
        task(context, begin, std::min(begin + chunk, size));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
    }
  }

  void work() {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return stop || generation != seen; });
      if (stop) return;
      seen = generation;
      lock.unlock();
      take_chunks();
      lock.lock();
      if (--busy == 0) idle.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : shared_(std::make_unique<Shared>()) {
  threads_ = threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 1; i < threads_; ++i) shared_->workers.emplace_back([shared = shared_.get()] { shared->work(); });
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
  {
    const std::lock_guard lock(s.mutex);
    s.task = task;
    s.context = context;
    s.size = n;
    // Four chunks a thread: small enough to even out unequal iterations, large enough to keep the counter cool.
    s.chunk = std::max<std::size_t>(1, n / (static_cast<std::size_t>(threads_) * 4));
    s.next = 0;
    s.error = nullptr;
    s.busy = threads_ - 1;
    ++s.generation;
  }
  s.wake.notify_all();
  s.take_chunks();
  std::unique_lock lock(s.mutex);
  s.idle.wait(lock, [&] { return s.busy == 0; });
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace diffreward
