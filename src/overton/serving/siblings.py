"""Groups whose answers come in several requests, and wait for each other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

from overton.serving.errors import Conflict
from overton.serving.jobs import Asked, Job, Part

log = logging.getLogger(__name__)
WARN_EVERY = 60.0  # seconds
Outcome = Literal["whole", "partial"]


class Siblings:
    """Groups that are not whole yet.

    Args:
        wait: seconds from the first answer of a group until those that came are scored without the others.
        release: gets a group when it is whole or its time is up.

    Attributes:
        places: answers that are still to come. They have a place in the server from the first one on: if they could be
            refused, a server full of waiting groups would wait for nobody.
    """

    def __init__(self, wait: float, release: Callable[[Job, Outcome], None]) -> None:
        self.places = 0
        self._wait = wait
        self._release = release
        self._groups: dict[Hashable, Job] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def needs(self, asked: Sequence[Asked]) -> int:
        """Places that have to be free for one request.

        Answers of a group that has begun, here or earlier in the request, need none: their places are taken with it.
        """
        places = 0
        open_: dict[Hashable, int] = {}  # answers that fit a group yet
        for one in asked:
            count = len(one.answers)
            if count >= one.size:
                places += count
                continue
            left = open_[one.group] if one.group in open_ else self._left(one)
            if not left:  # new, or full by now: another group of that name begins
                places += one.size
                left = one.size
            open_[one.group] = max(0, left - count)
        return places

    def _left(self, asked: Asked) -> int:
        job = self._groups.get(asked.group)
        if job is None:
            return 0
        job.drop_gone()
        return job.asked.size - job.answers

    def add(self, part: Part) -> None:
        """Put answers into the group they name.

        Raises:
            Conflict: they do not fit.
        """
        asked = part.asked
        job = self._groups.get(asked.group)
        if job is None:
            job = self._groups[asked.group] = Job(asked)
            job.deadline = asyncio.get_running_loop().call_later(self._wait, self._end, job, "partial")
            job.places = asked.size
            self.places += job.places
        else:
            job.drop_gone()
            _check_fit(job, asked)
        taken = min(job.places, len(asked.answers))
        job.places, self.places = job.places - taken, self.places - taken
        job.parts.append(part)
        if job.answers == asked.size:
            self._end(job, "whole")

    def end_all(self) -> None:
        """Nobody else comes."""
        for job in list(self._groups.values()):
            self._end(job, "partial")

    def _end(self, job: Job, outcome: Outcome) -> None:
        del self._groups[job.asked.group]
        if job.deadline is not None:
            job.deadline.cancel()
        self.places -= job.places
        self._release(job, outcome)


class Released:
    """Counts groups, and warns now and then of those that are not whole.

    Attributes:
        again: the time before which nothing is said.
    """

    def __init__(self) -> None:
        self.again = 0.0
        self._all = self._partial = 0

    def add(self, partial: bool, wait: float) -> None:
        """One more group; ``wait`` is how long it waited at most, in seconds."""
        self._all += 1
        self._partial += partial
        now = time.monotonic()
        if self._partial and now >= self.again:
            log.warning(
                "%d of %d groups were scored without all siblings, which did not come within %g s; raise --group-wait",
                self._partial,
                self._all,
                wait,
            )
            self._all = self._partial = 0
            self.again = now + WARN_EVERY


def _check_fit(job: Job, asked: Asked) -> None:
    first = job.asked
    if (first.prompt, first.references, first.size) != (asked.prompt, asked.references, asked.size):
        raise Conflict("other answers of this group came with another prompt, other references or another size")
    if job.answers + len(asked.answers) > asked.size:
        raise Conflict(
            f"{job.answers} of {asked.size} answers of this group have come already, and {len(asked.answers)} more do "
            "not fit"
        )
