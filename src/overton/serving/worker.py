"""The process that holds the encoder and scores, from both sides.

:class:`Worker` is the server's side: it starts the process and speaks with it over a pipe. :func:`work` is what the
process does. It may be killed at any time; nothing is kept there but caches.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from overton.errors import ModelError, OvertonError
from overton.serving.rows import Row, has_failure, score_groups, to_row
from overton.types import Group, Perspective, Score

if TYPE_CHECKING:
    from overton.rewards import OvertonReward

log = logging.getLogger(__name__)

_GOODBYE = 5.0  # seconds for an idle worker to end by itself

# Scored at the start: warms the model up, shows a missing calibration, and names the preset's terms. Scored again after
# an exception, to tell a text that breaks something from a worker that is broken.
_PROBE = Group(
    prompt="May a nurse read the diary of a patient?",
    references=(Perspective("Privacy", "What is in a diary is nobody else's business."),),
    answers=("In the perspective of Privacy, a diary is nobody else's business.", ""),
)


class WorkerDied(Exception):
    """The process ended, or was killed."""


class LoadFailed(Exception):
    """The process says that the reward cannot be loaded."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker loads.

    Attributes:
        source: as for :func:`overton.rewards.load_reward`.
        overrides: fields of the preset.
        threads: CPU threads; 0 = the library's own choice.
    """

    source: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 0


@dataclass(frozen=True, slots=True)
class About:
    """What a worker says of its reward.

    Attributes:
        terms: names of the terms that every score has.
        compares: the preset's field, with its value, that compares the answers of a group; ``""`` = none does.
        identity: of :func:`overton.rewards.identity.identity`.
    """

    terms: tuple[str, ...]
    compares: str = ""
    identity: str = ""


class Scorer(Protocol):
    """What the service needs of a worker. One thread calls ``load``, ``score`` and ``close``."""

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""

    def load(self) -> About:
        """Wait until it is ready. Raises LoadFailed, WorkerDied."""

    def score(self, groups: Sequence[Group]) -> list[list[Row]]:
        """Rows of each group. Raises WorkerDied."""

    def kill(self) -> None:
        """End it at once; a call that waits for it raises WorkerDied. Any thread may do so."""

    def close(self) -> None:
        """End it and free what it held."""


class Worker:
    """A process that loads a reward and scores with it.

    Args:
        spec: what it loads.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        context = get_context("spawn")  # a fork would copy the server's sockets and threads
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, spec), name="overton-scorer", daemon=True)
        self._process.start()
        theirs.close()  # or the pipe would not close when the worker dies

    def load(self) -> About:
        """What it loads, when it is ready.

        Raises:
            LoadFailed: the reward cannot be loaded.
            WorkerDied: the process ended before it said anything.
        """
        kind, found = self._receive()
        if kind == "failed":
            raise LoadFailed(found)
        about: About = found
        return about

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return not wait([self._process.sentinel], timeout=0)  # is_alive() is not made for two threads

    def score(self, groups: Sequence[Group]) -> list[list[Row]]:
        """Rows of each group.

        Raises:
            WorkerDied: the process ended.
        """
        try:
            self._pipe.send(groups)
        except OSError as error:
            raise WorkerDied(self._ending()) from error
        rows: list[list[Row]] = self._receive()
        return rows

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ValueError, OSError):  # closed, or gone in this moment
            self._process.kill()

    def close(self) -> None:
        """End the process, which sees its pipe close, and at last kill it."""
        self._pipe.close()
        self._process.join(_GOODBYE)
        self.kill()
        self._process.join()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied(self._ending()) from error

    def _ending(self) -> str:
        """How the process ended, for people."""
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return "it closed its pipe" if code is None else f"exit code {code}"


def work(pipe: Connection, spec: WorkerSpec) -> None:
    """What the process does: load, then score whatever comes until the pipe closes.

    The first message says ``("ready", about)`` or ``("failed", reason)``. A reward that cannot score anything any more
    (a CUDA error, broken weights) ends the process, and the server starts another.
    """
    # The server decides when a worker ends: Ctrl-C and a service manager's SIGTERM reach the whole process group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        reward = _load(spec)
        about = _about(reward)
    except Exception as error:
        known = isinstance(error, OvertonError | ImportError)
        pipe.send(("failed", str(error) if known else f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", about))
    with contextlib.suppress(EOFError, OSError):  # the server is gone
        while True:
            rows = score_groups(reward, pipe.recv())
            if has_failure(rows) and not _still_scores(reward):
                sys.exit(1)
            pipe.send(rows)


def _about(reward: OvertonReward) -> About:
    from overton.rewards.identity import identity

    terms = sorted({name for score in _probe(reward) for name in score.terms})
    name = reward.preset.compares
    return About(tuple(terms), f"{name}: {getattr(reward.preset, name)}" if name else "", identity(reward))


def _probe(reward: OvertonReward) -> list[Score]:
    scores = reward.score([_PROBE])[0]
    if reason := to_row(scores[0])["reason"]:
        raise ModelError(f"a plain answer has no score: {reason}")
    return scores


def _still_scores(reward: OvertonReward) -> bool:
    try:
        _probe(reward)
    except Exception:
        log.exception("nothing can be scored any more, so the scoring worker ends")
        return False
    return True


def _load(spec: WorkerSpec) -> OvertonReward:
    from overton.rewards import load_reward

    if spec.threads:
        import torch

        torch.set_num_threads(spec.threads)
    return load_reward(spec.source, **spec.overrides)


def _end_with_parent() -> None:
    """A server that was killed must not leave a worker behind that is busy, or hangs."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
