// Ctrl-C for long loops.
#pragma once

namespace diffreward {

/// Makes SIGINT and SIGTERM set a flag instead of ending the process. Where no loop has looked at it within a
/// second, or at a second signal, the process ends on the spot, which loses no more than that: files are
/// whole or absent (file.h). Called by programs, never by the library.
void catch_interrupts();

/// As if a signal had arrived, for programs that have handlers of their own (Python); taken back by false.
void request_interrupt(bool wanted = true);

/// Throws Interrupted once a signal has arrived. Long loops call it where stopping loses nothing.
void check_interrupt();

}  // namespace diffreward
