"""Standard output that lacks characters, whose reader has left, or whose disk is full."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress


def print_anything() -> None:
    """From now on print a question mark for a character that the encoding of standard output lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")


def output_fault() -> str | None:
    """Write what was printed, and say what was wrong with standard output; ``None`` when nothing was.

    A reader that has left, as in ``overton run RECIPE | head -1``, is no fault: it has what it wanted, and the exit
    status stays that of the work. What could not be written is dropped.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):  # else the interpreter tries again when it ends, with a traceback
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:
            return f"standard output cannot be written ({error.strerror or error}), and what was printed is lost"
    return None
