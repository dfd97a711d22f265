"""How OpenMP's threads wait: as agents/openmp_wait.c has it for programs."""

import os
import sys


def wait_briefly() -> None:
    """Lets threads that wait for each other sleep soon instead of keeping a core busy, beside other programs above all.

    libgomp reads this once, when it is loaded: it has no effect where PyTorch was imported before, and it leaves settings of
    the user's own (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``) alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ and "torch" not in sys.modules:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
