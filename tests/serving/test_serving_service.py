"""Batches, siblings, a full queue, workers that die, and the end; with a worker that is no process."""

from __future__ import annotations

import asyncio

import pytest
from serving_material import FakeWorker, asked, in_loop, running, until, values

from overton.serving import service as module
from overton.serving.errors import Conflict, QueueFull, Refusal, TooLarge, Unavailable
from overton.serving.jobs import Asked
from overton.serving.service import ScoringService
from overton.serving.settings import ServeError
from overton.serving.worker import LoadFailed, WorkerDied


@in_loop
async def test_answers_come_back_in_order_and_each_group_for_itself() -> None:
    async with running() as service:
        found = await service.score([asked("a", "bbb"), asked("cc")])
        assert [values(rows) for rows in found] == [[1.2, 3.2], [2.1]]
        assert [row["scored_together"] for rows in found for row in rows] == [2, 2, 1]
        assert await service.score([]) == []


@in_loop
async def test_requests_that_come_while_the_worker_is_busy_become_one_batch() -> None:
    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker, max_batch=3) as service:
        first = asyncio.create_task(service.score([asked("first")]))
        await until(worker.entered.is_set)
        others = [asyncio.create_task(service.score([asked("x" * n)])) for n in range(1, 6)]
        await until(lambda: service.held == 6)
        worker.gate.set()
        assert values((await first)[0]) == [5.1]
        assert [values((await one)[0]) for one in others] == [[n + 0.1] for n in range(1, 6)]
        sizes = [sum(map(len, batch)) for batch in worker.calls]
        assert sizes == [1, 3, 2]
        assert service.held == 0


@in_loop
async def test_a_group_larger_than_a_batch_is_scored_alone() -> None:
    worker = FakeWorker()
    async with running(worker, max_batch=2) as service:
        found = await service.score([asked("a"), asked("b", "c", "d"), asked("e")])
        assert [len(rows) for rows in found] == [1, 3, 1]
        assert [[len(group) for group in batch] for batch in worker.calls] == [[1], [3], [1]]


@in_loop
async def test_siblings_in_several_requests_are_scored_together() -> None:
    worker = FakeWorker()
    async with running(worker) as service:
        parts = [asyncio.create_task(service.score([asked("x" * n, group="g", size=4)])) for n in (1, 2, 3)]
        await until(lambda: service.held == 3)
        assert not worker.calls
        last = await service.score([asked("xxxx", group="g", size=4)])
        assert [values((await part)[0]) for part in parts] == [[1.4], [2.4], [3.4]]
        assert values(last[0]) == [4.4]
        assert worker.calls == [[("x", "xx", "xxx", "xxxx")]]
        assert b'overton_sibling_groups_total{outcome="whole"} 1.0' in service.metrics.text()


@in_loop
async def test_after_the_deadline_those_that_came_are_scored_and_say_so() -> None:
    async with running(group_wait=0.05) as service:
        rows = (await service.score([asked("a", "b", group="g", size=4)]))[0]
        assert values(rows) == [1.2, 1.2]
        assert [row["scored_together"] for row in rows] == [2, 2]
        late = (await service.score([asked("a", group="g", size=4)]))[0]
        assert [row["scored_together"] for row in late] == [1]
        assert b'overton_sibling_groups_total{outcome="partial"} 2.0' in service.metrics.text()


@in_loop
async def test_what_does_not_fit_the_group_it_names_is_refused_and_spoils_nothing() -> None:
    async with running() as service:
        first = asyncio.create_task(service.score([asked("a", group="g", size=3)]))
        await until(lambda: service.held == 1)
        for wrong in (asked("b", group="g", size=3, prompt="other"), asked("b", group="g", size=4)):
            with pytest.raises(Conflict, match="another prompt, other references or another size"):
                await service.score([wrong])
        second = asyncio.create_task(service.score([asked("b", group="g", size=3)]))
        await until(lambda: service.held == 2)
        with pytest.raises(Conflict, match="2 of 3 answers of this group have come already, and 2 more"):
            await service.score([asked("c", "d", group="g", size=3)])
        assert values((await service.score([asked("c", group="g", size=3)]))[0]) == [1.3]
        assert values((await first)[0]) == values((await second)[0]) == [1.3]


@in_loop
async def test_a_client_that_goes_leaves_its_place_in_the_group() -> None:
    worker = FakeWorker()
    async with running(worker) as service:
        gone = asyncio.create_task(service.score([asked("a", group="g", size=2)]))
        await until(lambda: service.held == 1)
        gone.cancel()
        await until(lambda: service.held == 0)
        again = asyncio.create_task(service.score([asked("a", group="g", size=2)]))
        await until(lambda: service.held == 1)
        assert values((await service.score([asked("bb", group="g", size=2)]))[0]) == [2.2]
        assert values((await again)[0]) == [1.2]
        assert worker.calls == [[("a", "bb")]]


@in_loop
async def test_answers_that_cannot_be_scored_cost_their_siblings_nothing() -> None:
    worker = FakeWorker()
    async with running(worker, max_chars=5) as service:
        rows = (await service.score([asked("fine", None, "secret", {"a": 1})]))[0]
        assert values(rows) == [4.4, None, None, None]
        assert [row["reason"] for row in rows] == [
            "",
            "the answer is NoneType, not text",
            "the answer has 6 characters; at most 5 are scored (--max-chars)",
            "the answer is dict, not text",
        ]
        assert worker.calls == [[("fine", None, None, None)]]


@in_loop
async def test_a_full_queue_refuses_and_takes_again() -> None:
    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker, max_queue=4, max_answers=4) as service:
        held = asyncio.create_task(service.score([asked("a", "b", "c")]))
        await until(lambda: service.held == 3)
        with pytest.raises(QueueFull, match="holds or awaits 3 answers") as refusal:
            await service.score([asked("d", "e")])
        assert refusal.value.retry_after
        with pytest.raises(TooLarge, match="5 answers in one request"):
            await service.score([asked("a", "b"), asked("c", "d", "e")])
        worker.gate.set()
        await held
        assert len((await service.score([asked("d", "e")]))[0]) == 2


@in_loop
async def test_a_group_that_has_begun_finds_room_for_all_of_its_answers() -> None:
    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker, max_queue=4, max_answers=4) as service:
        tasks = [asyncio.create_task(service.score([one])) for one in (asked("a", group="g", size=3), asked("d"))]
        await until(lambda: service.held == 2)
        for refused in (asked("e"), asked("e", group="h", size=2), asked("e", "f", "g", group="g", size=3)):
            with pytest.raises(QueueFull, match="holds or awaits 4 answers"):
                await service.score([refused])
        tasks += [asyncio.create_task(service.score([asked("a", group="g", size=3)])) for _ in range(2)]
        await until(lambda: service.held == 4)
        worker.gate.set()
        assert [values((await task)[0]) for task in tasks] == [[1.3], [1.1], [1.3], [1.3]]
        assert len((await service.score([asked("a", "b", "c", "d")]))[0]) == 4


@in_loop
async def test_the_groups_of_one_request_take_their_places_once_each() -> None:
    def siblings(*names: str) -> list[Asked]:
        return [asked("a", group=name, size=2) for name in names]

    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker, max_queue=4, max_answers=4) as service:
        with pytest.raises(TooLarge, match="take 6 places, and there are 4"):  # whenever it is sent
            await service.score(siblings("g", "h", "i"))
        with pytest.raises(TooLarge, match="take 5 places"):
            await service.score([*siblings("g", "g", "h"), asked("b")])
        first = asyncio.create_task(service.score(siblings("g", "h", "g")))
        await until(lambda: service.held == 3)
        with pytest.raises(QueueFull, match="holds or awaits 4 answers"):
            await service.score(siblings("h", "h"))  # one would go to h; the other one begins another group
        last = asyncio.create_task(service.score(siblings("h")))
        await until(lambda: service.held == 4)
        worker.gate.set()
        assert [values(rows) for rows in [*await first, *await last]] == [[1.2]] * 4
        full = await service.score(siblings("g", "g", "g", "g"))
        assert [row["scored_together"] for rows in full for row in rows] == [2, 2, 2, 2]
        with pytest.raises(TooLarge, match="take 5 places"):
            await service.score([*siblings("g", "g", "g"), asked("b")])


@in_loop
async def test_a_request_that_takes_too_long_is_refused_and_gives_its_place_back() -> None:
    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker, request_timeout=0.05, group_wait=0.01) as service:
        with pytest.raises(Unavailable, match="not scored within"):
            await service.score([asked("a")])
        assert service.held == 0
        worker.gate.set()


@in_loop
async def test_a_batch_on_which_the_worker_dies_is_scored_by_the_next_one() -> None:
    first = FakeWorker(die_at=[1])
    async with running(first) as service:
        assert values((await service.score([asked("a")]))[0]) == [1.1]
        assert first.closed
        assert b"overton_worker_deaths_total 1.0" in service.metrics.text()


@in_loop
async def test_a_worker_that_dies_with_nothing_to_do_is_replaced() -> None:
    first, second = FakeWorker(), FakeWorker()
    async with running(first, second) as service:
        first.kill()
        await until(lambda: first.closed and service.state == "ready")
        assert values((await service.score([asked("a")]))[0]) == [1.1]
        assert second.calls


@in_loop
async def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    hanging = FakeWorker()
    hanging.gate.clear()
    async with running(hanging, batch_timeout=0.05) as service:
        assert values((await service.score([asked("a")]))[0]) == [1.1]
        assert hanging.closed


@in_loop
async def test_a_group_that_kills_workers_costs_no_other_group_its_score() -> None:
    busy = FakeWorker()
    busy.gate.clear()
    others = [FakeWorker(poison="poison") for _ in range(6)]
    busy.poison = "poison"
    async with running(busy, *others) as service:
        first = asyncio.create_task(service.score([asked("first")]))
        await until(busy.entered.is_set)
        tasks = [asyncio.create_task(service.score([asked(text)])) for text in ("a", "poison", "bb")]
        await until(lambda: service.held == 4)
        busy.gate.set()
        assert values((await first)[0]) == [5.1]
        assert values((await tasks[0])[0]) == [1.1]
        assert values((await tasks[2])[0]) == [2.1]
        row = (await tasks[1])[0][0]
        assert row["value"] is None
        assert row["reason"] == "the scoring worker died 4 times on this group (SIGKILL)"


@in_loop
async def test_when_no_worker_can_be_started_requests_are_refused_until_one_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COOLDOWN", 0.2)
    first = FakeWorker(die_at=[1])
    broken = [FakeWorker(failure=LoadFailed("no such folder")) for _ in range(2)]
    async with running(first, *broken) as service:
        with pytest.raises(Unavailable, match="no such folder"):
            await service.score([asked("a")])
        assert service.state == "down"
        with pytest.raises(Unavailable, match="no such folder"):
            await service.score([asked("a")])
        await until(lambda: service.state == "ready")
        assert values((await service.score([asked("a")]))[0]) == [1.1]


@pytest.mark.parametrize("failure", [LoadFailed("no such folder"), WorkerDied("exit code 1")])
@in_loop
async def test_a_reward_that_cannot_be_loaded_at_the_start_is_an_error(failure: Exception) -> None:
    service = ScoringService(module.ServeSettings(), lambda: FakeWorker(failure=failure))
    with pytest.raises(ServeError, match=str(failure)):
        await service.start()
    await service.stop()


@in_loop
async def test_a_server_that_stops_scores_what_it_holds_and_takes_no_more() -> None:
    worker = FakeWorker()
    async with running(worker) as service:
        waiting = asyncio.create_task(service.score([asked("a", group="g", size=8)]))
        await until(lambda: service.held == 1)
        service.finish()
        with pytest.raises(Unavailable, match="the server stops"):
            await service.score([asked("b")])
        assert values((await waiting)[0]) == [1.1]


@in_loop
async def test_what_is_not_scored_when_the_server_must_end_is_refused() -> None:
    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker) as service:
        tasks = [asyncio.create_task(service.score([asked("a")])) for _ in range(3)]
        await until(worker.entered.is_set)
        service.give_up()
        for task in tasks:
            with pytest.raises(Refusal, match="the server stops"):
                await task
    assert worker.closed


@in_loop
async def test_a_worker_with_a_bug_is_replaced_and_the_service_goes_on() -> None:
    class Broken(FakeWorker):
        def score(self, groups: object) -> list[list[dict[str, object]]]:
            raise RuntimeError("secret")

    broken = Broken()
    async with running(broken) as service:
        assert values((await service.score([asked("a")]))[0]) == [1.1]
        assert broken.closed
