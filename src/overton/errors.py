"""Errors a user can act on. Each says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OvertonError(Exception):
    """Base class. The command line prints its message without a traceback and exits with 1."""


class RecipeError(OvertonError, ValueError):
    """The recipe has an unknown key, a wrong type or an impossible combination."""


class DataError(OvertonError, ValueError):
    """A data file is missing, unreadable or has a bad row."""


class ModelError(OvertonError, RuntimeError):
    """A model folder is missing, unreadable or of the wrong kind."""


class RunError(OvertonError, RuntimeError):
    """A run directory cannot be used, or a stage's input is missing."""


class DiskFullError(RunError):
    """There is no room for a file; its message says which, and how much is free."""


class NonFiniteError(OvertonError, ValueError):
    """A loss, a gradient, a reward or a weight is NaN or infinite."""


class MissingDependencyError(OvertonError, ImportError):
    """An optional package is not installed."""


def first_line(error: BaseException) -> str:
    """What another library's error says, without the pages that may follow; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(name: str, known: Iterable[str], what: str = "known") -> str:
    """A hint for a name that is not known.

    Args:
        name: as it was written.
        known: names it may be meant for.
        what: they are called, where none is near and all are listed.
    """
    names = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean {names[near[0]]}?" if near else f"{what}: {', '.join(names.values())}"
