// A fixed set of worker threads for loops whose iterations are independent.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>

namespace diffreward {

class ThreadPool {
 public:
  /// `threads` counts the calling thread too; 0 means one per hardware thread. One thread starts no worker.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  /// Calls body(begin, end) on disjoint ranges that cover [0, n); returns when all are done.
  /// Allocates nothing. The first exception of a body is rethrown here after all ranges have ended.
  /// Not re-entrant: one loop at a time, and never from inside a body.
  template <class Body>
  void parallel_for(std::size_t n, Body&& body) {
    using Fn = std::remove_reference_t<Body>;
    run(
        n,
        [](void* context, std::size_t begin, std::size_t end) { (*static_cast<Fn*>(context))(begin, end); },
        const_cast<std::remove_const_t<Fn>*>(&body));
  }

 private:
  using Task = void (*)(void* context, std::size_t begin, std::size_t end);
  void run(std::size_t n, Task task, void* context);

  struct Shared;
  std::unique_ptr<Shared> shared_;
  int threads_;
};

}  // namespace diffreward
