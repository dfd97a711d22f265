"""The ``diffreward`` command: ``python -m diffreward``, and the program that ``pip install`` makes of ``main``."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Runs the command of ``sys.argv`` and returns its exit code: 0 done, 1 failed, 2 wrong use.

    It is a program's main function: from here on Ctrl-C and SIGTERM end the process, or the command where it is.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command answers it
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it; `diffreward envs | head -1` shall end in silence
    from diffreward import _chain

    return _chain.run_cli([os.fsencode(argument) for argument in sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
