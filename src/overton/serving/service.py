"""From requests to scores: siblings wait for each other, groups become batches, one worker scores them.

Scores are deterministic, so a batch on which the worker dies is simply scored again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from overton.integrations.common import FirstRows
from overton.serving.errors import QueueFull, Refusal, TooLarge, Unavailable, stops
from overton.serving.jobs import Asked, Job, Part
from overton.serving.metrics import Metrics
from overton.serving.rows import Row, unscored
from overton.serving.settings import ServeError, ServeSettings
from overton.serving.siblings import Released, Siblings
from overton.serving.worker import About, LoadFailed, Scorer, Worker, WorkerDied, WorkerSpec

T = TypeVar("T")
log = logging.getLogger(__name__)

ALONE = 2  # deaths of a worker on a group before the group is scored alone
GIVEN_UP = 4  # deaths before it is given up
DOWN = 5  # deaths in a row, without a batch scored, before nothing is tried for a while
COOLDOWN = 5.0  # seconds
LOAD_TIMEOUT = 600.0  # seconds; a model of some gigabytes on a slow disk
BATCH_CHARS = 1 << 20  # of a batch of several groups
_POLL = 0.1  # seconds between looks at an idle worker


class ScoringService:
    """Scores answers of many requests with one worker.

    Args:
        settings: limits and times.
        make: starts a worker, which loads later.

    Attributes:
        state: ``ready``, ``starting`` (a new worker loads; requests wait), ``down`` (workers keep dying; requests are
            refused for a while) or ``stopped``.
        held: answers that are in the server now.
        metrics: what it counts.
        about: what the worker says of its reward.
        first_rows: what ``/get_reward`` could read.
        stopping: set when no more requests are taken.
    """

    def __init__(self, settings: ServeSettings, make: Callable[[], Scorer] | None = None) -> None:
        spec = WorkerSpec(settings.source, dict(settings.overrides), settings.threads)
        self.settings = settings
        self.state: Literal["ready", "starting", "down", "stopped"] = "starting"
        self.held = 0
        self.about = About(())
        self.metrics = Metrics()
        self.first_rows = FirstRows()
        self.stopping = asyncio.Event()
        self._make = make or (lambda: Worker(spec))
        self._worker: Scorer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="overton-worker")
        self._queue: deque[Job] = deque()
        self._siblings = Siblings(settings.group_wait, self._release)
        self._scoring: list[Job] = []
        self._arrived = asyncio.Event()
        self._deaths = 0  # in a row
        self._reason = ""
        self._busy = False
        self._released = Released()
        self._task: asyncio.Task[None] | None = None
        self.metrics.watch("overton_held_answers", "Answers in the server now.", lambda: self.held)
        self.metrics.watch("overton_waiting_groups", "Groups that wait for siblings now.", lambda: len(self._siblings))
        self.metrics.watch("overton_worker_up", "1 when a worker is ready.", lambda: self.state == "ready")

    async def start(self) -> None:
        """Start the first worker.

        Raises:
            ServeError: it cannot load the reward.
        """
        try:
            await self._start_worker()
        except (LoadFailed, WorkerDied) as error:
            raise ServeError(f"the reward cannot be loaded: {error}") from None
        self._task = asyncio.create_task(self._run())

    async def score(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """Rows of each list of answers, in order.

        Raises:
            Refusal: there is no room, time is up, or an answer does not fit the group it names. Nothing is scored then.
        """
        count = sum(len(one.answers) for one in asked)
        self._admit(count, self._siblings.needs(asked))
        self.held += count
        parts: list[Part] = []
        try:
            for one in asked:
                parts.append(self._join(one))
            async with asyncio.timeout(self.settings.request_timeout):
                found = await asyncio.gather(*(part.rows for part in parts))
        except TimeoutError:
            limit = self.settings.request_timeout
            raise Unavailable(f"not scored within {limit:g} s; send fewer answers at a time", 5) from None
        finally:
            self.held -= count
            for part in parts:
                part.rows.cancel()  # whoever asked is gone; those that are done take no notice
        for row in (row for rows in found for row in rows):
            self.metrics.answers.labels("unscored" if row["value"] is None else "scored").inc()
        return found

    def finish(self) -> None:
        """No more requests come: groups stop waiting for siblings."""
        self.stopping.set()
        self._siblings.end_all()

    def give_up(self) -> None:
        """Refuse what was not scored in time before the server stops."""
        self.finish()
        self.state = "stopped"
        self._refuse_all(stops())

    async def stop(self) -> None:
        """End the worker, whatever it is doing, and refuse what is left."""
        self.give_up()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._worker is not None:
            if self._busy:
                self._worker.kill()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.close)
        self._thread.shutdown(wait=False)

    def _admit(self, count: int, places: int) -> None:
        limits = self.settings
        if count > limits.max_answers:
            raise TooLarge(
                f"{count} answers in one request, and at most {limits.max_answers} are taken (--max-answers): send "
                "several requests"
            )
        if self.stopping.is_set():
            raise stops()
        if self.state == "down":
            raise Unavailable(self._reason, round(COOLDOWN))
        if places > limits.max_queue:  # trying again would not help
            raise TooLarge(
                f"the groups of one request take {places} places, and there are {limits.max_queue} (--max-queue): send "
                "several requests"
            )
        # Groups whose requests are gone hold no answers, but still a place until their turn comes.
        held = max(self.held, len(self._queue) + len(self._siblings)) + self._siblings.places
        if places and held + places > limits.max_queue:
            most = limits.max_queue
            raise QueueFull(f"the server holds or awaits {held} answers, and at most {most} are taken (--max-queue)", 1)

    def _join(self, asked: Asked) -> Part:
        """Put answers into the queue, or to their siblings when those come in other requests."""
        part = Part(asked, self.settings.max_chars)
        if len(asked.answers) < asked.size:
            self._siblings.add(part)
        else:
            self._enqueue(Job(asked, [part]))
        return part

    def _release(self, job: Job, outcome: str) -> None:
        self.metrics.groups.labels(outcome).inc()
        if not self.stopping.is_set():
            self._released.add(outcome == "partial", self.settings.group_wait)
        self._enqueue(job)

    def _enqueue(self, job: Job) -> None:
        self._queue.append(job)
        self._arrived.set()

    async def _run(self) -> None:
        """Keep a worker alive, and give it batch after batch."""
        while True:
            if self._worker is None or not self._worker.alive:
                await self._replace_worker()
            elif batch := await self._next_batch(self._worker):
                await self._score(self._worker, batch)

    async def _next_batch(self, worker: Scorer) -> list[Job]:
        """The groups to score next; none when the worker is lost while there is nothing to do."""
        while not self._queue:
            if not worker.alive:
                return []
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), _POLL)
        await asyncio.sleep(self.settings.max_wait)
        batch: list[Job] = []
        answers = chars = 0
        while self._queue:
            job = self._queue[0]
            job.drop_gone()
            full = answers + job.answers > self.settings.max_batch or chars + job.chars > BATCH_CHARS
            if batch and job.parts and (full or job.deaths >= ALONE):
                break
            self._queue.popleft()
            if job.parts:
                batch.append(job)
                answers, chars = answers + job.answers, chars + job.chars
                if job.deaths >= ALONE:
                    break
        return batch

    async def _score(self, worker: Scorer, batch: list[Job]) -> None:
        self._scoring = batch
        groups = [job.to_group() for job in batch]
        self.metrics.batch.observe(sum(len(group.answers) for group in groups))
        try:
            with self.metrics.scoring.time():
                results = await self._ask(worker, lambda: worker.score(groups), self.settings.batch_timeout)
        except Exception as error:
            worker.kill()  # whatever it was, what else is in the pipe cannot be trusted
            self._back_to_the_queue(batch, error)
        else:
            self._deaths = 0
            for job, rows in zip(batch, results, strict=True):
                job.finish(rows)
        self._scoring = []

    def _back_to_the_queue(self, batch: list[Job], error: Exception) -> None:
        how = str(error) if isinstance(error, WorkerDied) else type(error).__name__
        self._reason = f"the scoring worker keeps dying ({how})"
        for job in reversed(batch):
            job.deaths += 1
            if job.deaths < GIVEN_UP:
                self._queue.appendleft(job)
                continue
            reason = f"the scoring worker died {job.deaths} times on this group ({how})"
            job.finish([unscored(reason) for _ in range(job.answers)])

    async def _replace_worker(self) -> None:
        self._deaths += 1
        if self._worker is not None:
            self.metrics.deaths.inc()
            log.warning("the scoring worker ended; a new one starts")
            await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.close)
            self._worker = None
        if self._deaths >= DOWN:
            log.error("nothing is scored for %g s: %s", COOLDOWN, self._reason)
            self.state = "down"
            self._refuse_all(Unavailable(self._reason, round(COOLDOWN)))
            await asyncio.sleep(COOLDOWN)
        self.state = "starting"
        try:
            await self._start_worker()
        except WorkerDied as error:
            self._reason = f"the scoring worker ended while it loaded ({error})"
        except LoadFailed as error:
            self._reason = f"the reward cannot be loaded: {error}"
            self._deaths = DOWN  # trying at once would fail alike

    async def _start_worker(self) -> None:
        worker = self._worker = self._make()
        try:
            self.about = await self._ask(worker, worker.load, LOAD_TIMEOUT)
        except (LoadFailed, WorkerDied):
            worker.kill()
            raise
        self.state = "ready"
        log.info("the scoring worker is ready")

    async def _ask(self, worker: Scorer, question: Callable[[], T], limit: float) -> T:
        """Ask the worker on the thread that may speak with it; one that takes too long is killed."""
        self._busy = True
        call = asyncio.get_running_loop().run_in_executor(self._thread, question)
        call.add_done_callback(self._rest)
        done, _ = await asyncio.wait({call}, timeout=limit)
        if not done:
            log.warning("the scoring worker took more than %g s and is killed", limit)
            worker.kill()
        return await call

    def _rest(self, call: asyncio.Future[T]) -> None:
        self._busy = False
        call.cancelled() or call.exception()  # nobody waits for it when the server stops

    def _refuse_all(self, refusal: Refusal) -> None:
        self._siblings.end_all()
        for job in (*self._queue, *self._scoring):
            for part in job.parts:
                part.refuse(refusal)
        self._queue.clear()
