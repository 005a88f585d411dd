"""What is scored together: the answers of one group, which may come in several requests."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from overton.serving.rows import Row, unscored
from overton.types import Group, Perspective


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers to one situation, as one request brings them.

    Attributes:
        prompt: the situation's text.
        references: its reference perspectives.
        answers: what to score; anything that is no text gets no score and a reason.
        finished: whether each answer ended by itself; ``None`` when unknown.
        group: name of the group whose other answers come in other requests; ``None`` when these are all.
        size: answers of that group.
    """

    prompt: str
    references: tuple[Perspective, ...]
    answers: tuple[object, ...]
    finished: tuple[bool, ...] | None = None
    group: Hashable = None
    size: int = 0


class Part:
    """The answers of one request in a group.

    Attributes:
        rows: a future with one row an answer.
    """

    def __init__(self, asked: Asked, max_chars: int) -> None:
        self.asked = asked
        self.rows: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self.reasons = [why_not(answer, max_chars) for answer in asked.answers]

    def finish(self, rows: list[Row]) -> None:
        """Give the request its rows; one that is gone wants none."""
        if not self.rows.done():
            self.rows.set_result(rows)

    def refuse(self, error: Exception) -> None:
        """Tell the request why it gets none."""
        if not self.rows.done():
            self.rows.set_exception(error)


@dataclass(eq=False)
class Job:
    """One group: what it waits for, and later what the worker gets.

    Attributes:
        asked: prompt, references and size that all parts share.
        parts: what came so far.
        deaths: how often a worker died while it had this group.
        deadline: ends the wait for siblings.
        places: siblings that are still to come.
    """

    asked: Asked
    parts: list[Part] = field(default_factory=list)
    deaths: int = 0
    deadline: asyncio.TimerHandle | None = None
    places: int = 0

    @property
    def answers(self) -> int:
        """Answers that came so far."""
        return sum(len(part.asked.answers) for part in self.parts)

    @property
    def chars(self) -> int:
        """Their length and that of the references, in characters."""
        own = sum(len(a) for part in self.parts for a in part.asked.answers if isinstance(a, str))
        return own + sum(len(p.explanation) for p in self.asked.references)

    def drop_gone(self) -> None:
        """Forget answers whose requests are gone."""
        self.parts = [part for part in self.parts if not part.rows.done()]

    def to_group(self) -> Group:
        """What the worker gets; an answer that cannot be scored is no text there."""
        answers: list[str] = []
        finished: list[bool] = []
        for part in self.parts:
            given = part.asked.answers
            answers += [None if why else a for a, why in zip(given, part.reasons, strict=True)]  # type: ignore[misc]
            finished += part.asked.finished or (True,) * len(given)
        return Group(self.asked.prompt, self.asked.references, tuple(answers), tuple(finished))

    def finish(self, rows: list[Row]) -> None:
        """Give each part its rows, in order."""
        start = 0
        for part in self.parts:
            stop = start + len(part.reasons)
            own = [unscored(why) if why else row for why, row in zip(part.reasons, rows[start:stop], strict=True)]
            part.finish([{**row, "scored_together": len(rows)} for row in own])
            start = stop


def why_not(answer: object, max_chars: int) -> str:
    """Why an answer cannot be scored, ``""`` when it can."""
    if not isinstance(answer, str):
        return f"the answer is {type(answer).__name__}, not text"
    if len(answer) > max_chars:
        return f"the answer has {len(answer)} characters; at most {max_chars} are scored (--max-chars)"
    return ""
