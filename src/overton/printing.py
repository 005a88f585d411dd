"""Standard output that lacks characters, whose reader has left, or whose disk is full."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from contextlib import suppress

# Control characters but tab and line break, and those that turn the direction of writing.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """A message without what would command the terminal: it may hold names of files and keys that others chose."""
    return _UNPRINTABLE.sub("\ufffd", text)


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
