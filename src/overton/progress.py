"""Progress bars and messages in one style. Only the first process prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from overton.printing import harmless
from overton.processes import is_first


class _Console(Console):
    def print(self, *objects: Any, **settings: Any) -> None:
        """Print; what endpoints and files of others say commands no terminal."""
        super().print(*(harmless(o) if isinstance(o, str) else o for o in objects), **settings)


console = _Console(stderr=True, quiet=not is_first())

T = TypeVar("T")


def say(text: str, style: str = "") -> None:
    """Print a line as it is: a terminal's width does not cut it, and brackets in names are no markup."""
    console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)


def progress() -> Progress:
    """A bar with count, elapsed and remaining time; use as a context manager."""
    return Progress(
        TextColumn("{task.description}", markup=False),  # names of systems and models stand in it
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Iterate with a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress() as bar:
        yield from bar.track(items, total=total, description=description)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No bar for the weights of a model that loads or saves in under a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
