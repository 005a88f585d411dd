"""What the tests of the server share: a worker without a process, a service in a loop, an HTTP client on an app."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2

from overton.serving import ScoringService, ServeSettings, create_app
from overton.serving.jobs import Asked
from overton.serving.rows import Row, to_row
from overton.serving.worker import About, WorkerDied
from overton.types import Group, Perspective, Score

T = TypeVar("T")
REFERENCES = (Perspective("Privacy", "a diary is private"),)
GROUP = {"prompt": "Q", "references": [{"label": "Privacy", "explanation": "a diary is private"}]}
# A test that waits for something fails by this, and never by how long it took.
LONG = 60.0


class FakeWorker:
    """Scores an answer by its length; novelty-like, adds a tenth for each sibling.

    Attributes:
        calls: the answers of each batch it was given.
        gate: while it is cleared, ``score`` waits.
        poison: an answer on which it dies.
    """

    def __init__(
        self, poison: str = "", die_at: Sequence[int] = (), failure: Exception | None = None, compares: str = ""
    ) -> None:
        self.calls: list[list[tuple[str, ...]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.poison = poison
        self.die_at = set(die_at)
        self.failure = failure
        self.compares = compares
        self.dead = False
        self.closed = False

    @property
    def alive(self) -> bool:
        return not self.dead

    def load(self) -> About:
        if self.failure is not None:
            raise self.failure
        return About(("length",), self.compares, "abc")

    def score(self, groups: Sequence[Group]) -> list[list[Row]]:
        self.calls.append([group.answers for group in groups])
        self.entered.set()
        while not self.gate.wait(0.01):
            if self.dead:
                break
        if self.dead or len(self.calls) in self.die_at or any(self.poison in g.answers for g in groups if self.poison):
            self.dead = True
            raise WorkerDied("SIGKILL")
        return [[to_row(score_of(answer, len(group.answers))) for answer in group.answers] for group in groups]

    def kill(self) -> None:
        self.dead = True

    def close(self) -> None:
        self.dead = self.closed = True


def score_of(answer: str | None, siblings: int) -> Score:
    if answer is None:
        return Score(None, "no text")
    return Score(len(answer) + siblings / 10, terms={"length": float(len(answer))})


def settings(**given: Any) -> ServeSettings:
    """Settings for tests: nothing waits for a batch to fill."""
    return ServeSettings(**{"max_wait": 0.0, "group_wait": LONG, **given})


@asynccontextmanager
async def running(*workers: FakeWorker, **given: Any) -> AsyncIterator[ScoringService]:
    """A started service; each worker is followed by the next one, and the last by fresh ones."""
    left = list(workers)
    service = ScoringService(settings(**given), lambda: left.pop(0) if left else FakeWorker())
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def client(service: ScoringService, token: str | None = None, **given: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client that speaks with the app directly."""
    transport = httpx2.ASGITransport(create_app(service, token), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", timeout=LONG, **given) as found:
        yield found


def asked(*answers: object, group: str | None = None, size: int = 0, prompt: str = "Q") -> Asked:
    return Asked(prompt, REFERENCES, answers, None, group, size)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.005)


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test."""
    import functools

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(2 * LONG):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


def values(rows: Sequence[Row]) -> list[float | None]:
    return [row["value"] for row in rows]
