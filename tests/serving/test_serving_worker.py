"""What the scoring process does about exceptions: a text costs its own score, a broken reward ends the process."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from overton.serving import rows, worker
from overton.types import Group, Perspective, Score

GROUP = Group("Q", (Perspective("Privacy", "a diary is private"),), ("fine", "poison"))
ABOUT = worker.About(("coverage",), "novelty_weight: 0.5", "abc")


class FakeReward:
    """Raises for a poison, and for everything once it is broken.

    Attributes:
        breaks: a poison breaks it.
        value: of every answer that it scores.
    """

    def __init__(self, breaks: bool = False) -> None:
        self.breaks = breaks
        self.broken = False
        self.value = 0.5
        self.preset = SimpleNamespace(compares="novelty_weight", novelty_weight=0.5)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        poisoned = any("poison" in group.answers for group in groups)
        self.broken |= poisoned and self.breaks
        if poisoned or self.broken:
            raise RuntimeError(f"CUDA error at {groups[0].answers}")
        return [[Score(self.value, terms={"coverage": 1.0})] * len(group.answers) for group in groups]


class FakePipe:
    """Gives one message after another, then ends; keeps what is sent."""

    def __init__(self, *messages: list[Group]) -> None:
        self.messages = list(messages)
        self.sent: list[Any] = []

    def recv(self) -> list[Group]:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)

    def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakePipe, FakeReward], None]:
    """The process's loop, without a process."""
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(worker, "_end_with_parent", lambda: None)
    monkeypatch.setattr(rows, "_logged", set())

    monkeypatch.setattr("overton.rewards.identity.identity", lambda _: "abc")

    def run(pipe: FakePipe, reward: FakeReward) -> None:
        monkeypatch.setattr(worker, "_load", lambda _: reward)
        worker.work(pipe, worker.WorkerSpec())  # type: ignore[arg-type]

    return run


def test_a_text_that_raises_costs_its_own_score_and_its_traceback_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rows, "_logged", set())
    for _ in range(3):
        found = rows.score_groups(FakeReward(), [GROUP])[0]  # type: ignore[arg-type]
    assert [row["value"] for row in found] == [0.5, None]
    assert found[1]["reason"] == "scoring failed with RuntimeError"
    assert len(caplog.records) == 1 and "in score" in caplog.text and "poison'" not in caplog.text


def test_a_worker_goes_on_after_a_text_that_raises(work: Any) -> None:
    pipe = FakePipe([GROUP], [GROUP])
    work(pipe, FakeReward())
    assert pipe.sent[0] == ("ready", ABOUT)
    assert [[row["value"] for row in found[0]] for found in pipe.sent[1:]] == [[0.5, None]] * 2


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_worker_that_can_score_nothing_any_more_ends(work: Any, how: str, caplog: pytest.LogCaptureFixture) -> None:
    reward = FakeReward(breaks=True)
    pipe = FakePipe([GROUP], [GROUP])
    if how == "nan":
        pipe.messages[0] = [dataclasses.replace(GROUP, answers=("fine",))]
        pipe.recv = lambda: setattr(reward, "value", math.nan) or pipe.messages.pop(0)  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        work(pipe, reward)
    assert pipe.sent == [("ready", ABOUT)] and len(pipe.messages) == 1  # no reply: the batch is scored again
    assert "nothing can be scored any more" in caplog.text and "Traceback" in caplog.text


def test_a_reward_without_finite_numbers_is_not_loaded(work: Any) -> None:
    reward, pipe = FakeReward(), FakePipe()
    reward.value = math.nan
    work(pipe, reward)
    assert pipe.sent == [("failed", "a plain answer has no score: a part of the score is not a finite number")]
