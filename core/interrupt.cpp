#include "core/interrupt.h"

#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

constexpr const char kMessage[] =
    "interrupted: finished stages and checkpoints are kept, run again to resume";

constexpr suseconds_t kPatience = 700'000;  // microseconds until the process ends by itself

volatile std::sig_atomic_t received = 0;
std::atomic<bool> requested{false};

void end_now(int) {
  unlink_temporaries();
  const char start[] = "\ndiffreward: ", end = '\n';
  // Nothing is left to do where writing this fails.
  if (::write(STDERR_FILENO, start, sizeof start - 1) >= 0 &&
      ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1) >= 0 && ::write(STDERR_FILENO, &end, 1) >= 0) {
  }
  ::_exit(1);
}

void set_timer(suseconds_t microseconds) {
  const itimerval once{{0, 0}, {0, microseconds}};
  ::setitimer(ITIMER_REAL, &once, nullptr);
}

void on_signal(int signal) {
  received = 1;
  std::signal(signal, end_now);
  set_timer(kPatience);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGALRM, end_now);
}

void request_interrupt(bool wanted) {
  requested = wanted;
}

void check_interrupt() {
  if (requested) throw Interrupted(kMessage);
  if (!received) return;
  set_timer(0);  // whoever catches this may finish what he is about, as a checkpoint
  throw Interrupted(kMessage);
}

}  // namespace diffreward
