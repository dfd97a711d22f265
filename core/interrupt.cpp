#include "core/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

constexpr const char kMessage[] =
    "interrupted: finished stages and checkpoints are kept, run again to resume";

volatile std::sig_atomic_t received = 0;

void end_now(int) {
  unlink_temporaries();
  const char start[] = "\ndiffreward: ", end = '\n';
  // Nothing is left to do where writing this fails.
  if (::write(STDERR_FILENO, start, sizeof start - 1) >= 0 &&
      ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1) >= 0 && ::write(STDERR_FILENO, &end, 1) >= 0) {
  }
  ::_exit(1);
}

void on_signal(int signal) {
  received = 1;
  std::signal(signal, end_now);
  ::alarm(1);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGALRM, end_now);
}

void check_interrupt() {
  if (!received) return;
  ::alarm(0);  // whoever catches this may finish what he is about, as a checkpoint
  throw Interrupted(kMessage);
}

}  // namespace diffreward
