// Waiting for what other threads bring about: a short look first, since sleeping and waking cost some tens of
// microseconds, then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace diffreward {

/// Tells the core that this is a waiting loop.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// How often one of `threads` threads that work at the same time may look for a change before it sleeps:
/// longer than waking it would take, and than a caller in Python needs between two steps. Never with more
/// threads than cores, where a spinning thread would keep a working one off its core.
inline int spins_for(int threads) {
  return threads <= static_cast<int>(std::thread::hardware_concurrency()) ? 8000 : 0;
}

/// Whether ready() came to hold while looking.
template <class Ready>
bool spin_until(const Ready& ready, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (ready()) return true;
    relax();
  }
  return false;
}

/// Wakes threads that wait for a condition on atomics, without a lock while none sleeps. The condition must
/// be made true, and read by ready(), with sequentially consistent operations (std::atomic's defaults).
class Doorbell {
 public:
  /// Returns once ready() holds.
  template <class Ready>
  void wait(const Ready& ready, int spins) {
    if (spin_until(ready, spins)) return;
    std::unique_lock lock(mutex_);
    ++asleep_;
    bell_.wait(lock, ready);
    --asleep_;
  }
  /// To be called after a change: wakes one thread, or all of them.
  void ring(bool all = false) {
    // Either this sees the sleeper, or the sleeper, which counted itself before it looked, sees the change.
    if (asleep_ == 0) return;
    { const std::lock_guard lock(mutex_); }  // a thread between its look and its sleep holds it
    all ? bell_.notify_all() : bell_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable bell_;
  std::atomic<int> asleep_{0};
};

}  // namespace diffreward
