#include "core/interrupt.h"

#include <csignal>

#include "core/error.h"

namespace diffreward {
namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int signal) {
  received = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

void check_interrupt() {
  if (received)
    throw Interrupted("interrupted: finished stages and checkpoints are kept, run again to resume");
}

}  // namespace diffreward
