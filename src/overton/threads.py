"""How long torch's threads wait for each other before they sleep; it has to be said before torch is loaded.

Threads of GNU OpenMP, which torch uses on Linux, wait in a loop. Where each has a core to itself, a long wait makes a
step of a small model a third faster than a short one; where another program wants one of the cores, more than twice as
slow (docs/speed.md).
"""

from __future__ import annotations

import os

_NAME, _SHORT, _LONG = "GOMP_SPINCOUNT", "1000", "20000"
_WATCHED = 0.3  # seconds
_IDLE = 0.3  # cores that are never quite free


def wait_shortly() -> None:
    """What costs little on any machine; what the user has set stays."""
    os.environ.setdefault(_NAME, _SHORT)


def wait_long_if_alone(threads: int) -> None:
    """Wait long when the processor has been seen to have a core to spare for each thread. Takes .3 seconds.

    Args:
        threads: of torch; 0 = as many as there are cores.
    """
    if os.environ.get(_NAME, _SHORT) != _SHORT:
        return
    try:
        import psutil
    except ImportError:  # of the extra `train`
        return
    cores = psutil.cpu_count() or 1
    free = cores * (1 - psutil.cpu_percent(_WATCHED) / 100)
    if free >= min(threads or cores, cores) - _IDLE:
        os.environ[_NAME] = _LONG
