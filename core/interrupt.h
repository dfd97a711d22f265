// Ctrl-C for long loops.
#pragma once

namespace diffreward {

/// Makes SIGINT and SIGTERM set a flag instead of ending the process. Where no loop has looked at it within a
/// second, or at a second signal, the process ends on the spot, which loses no more than that: files are
/// whole or absent (file.h). Called by programs, never by the library.
void catch_interrupts();

/// Throws Interrupted once a signal has arrived. Long loops call it where stopping loses nothing.
void check_interrupt();

}  // namespace diffreward
