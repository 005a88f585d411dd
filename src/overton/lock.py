"""One command at a time writes to a run directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from overton.errors import RunError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes' commands out of a run until the block ends.

    The system gives the lock back when the process ends in whatever way. Where the system (Windows) or the disk (some
    of a network) has no such locks, nothing is kept out.

    Args:
        folder: of the run; it is made where it is missing.

    Raises:
        RunError: another process has it, or the folder cannot be written.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # No link is followed: what it leads to would be emptied below.
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error}). Nothing was changed.") from error
    try:
        try:
            # Not flock, which a killed command's workers would go on holding.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.read(file, 20).decode("ascii", "replace").strip()
            raise RunError(
                f"{folder}: another command{f' (pid {holder})' if holder else ''} is using this run. Wait until it is "
                "done, or end it, and run this again; or give another folder with --run-dir."
            ) from None
        except OSError:
            pass
        else:
            with suppress(OSError):  # a full disk: only the number is lost
                os.ftruncate(file, 0)
                os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(file)
