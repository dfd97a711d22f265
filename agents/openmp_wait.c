// Threads of OpenMP that wait for each other look for some 20 microseconds, then sleep. By default libgomp keeps a
// core busy for milliseconds, which another program on the machine pays for, and then this one: the thread that is
// waited for has no core. libgomp reads its settings once, when it is loaded; so this is a shared library that
// executables name behind it, because the loader starts libraries from the last to the first.
#include <stdlib.h>

__attribute__((constructor)) static void wait_briefly(void) {
  if (getenv("OMP_WAIT_POLICY") == NULL) setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
}
