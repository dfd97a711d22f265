// Ctrl-C for long loops.
#pragma once

namespace diffreward {

/// Makes SIGINT and SIGTERM set a flag instead of ending the process; a second signal ends it. Called by
/// programs, never by the library.
void catch_interrupts();

/// Throws Interrupted once a signal has arrived. Long loops call it where stopping loses nothing.
void check_interrupt();

}  // namespace diffreward
