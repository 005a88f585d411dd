"""The order in which the parts of the table are made."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headline.parts import Part, made, missing_lengths, parts_of
from headline.systems import SYSTEMS
from overton.rundir import RunDir


def order(parts: dict[Part, set[Part]], jobs: int) -> list[Part]:
    with ThreadPoolExecutor(jobs) as pool:
        return list(made(parts, pool, jobs, lambda part: None))


def test_each_part_is_made_once_after_all_that_it_needs() -> None:
    parts = parts_of(SYSTEMS, [0, 1], [1])
    for jobs in (1, 3):
        found = order(parts, jobs)
        assert sorted(found) == sorted(parts)
        at = {part: place for place, part in enumerate(found)}
        assert all(at[need] < at[part] for part, needs in parts.items() for need in needs)
    assert at[Part(0, "answers", "op-grpo")] < at[Part(0, "answers", "parallel-equal")]
    assert at[Part(1, "policy", "community-3")] < at[Part(1, "answers", "modular")]


def test_ablations_are_of_their_seeds_alone_and_begin_last() -> None:
    parts = parts_of(["sft", "untuned", "big"], [0, 2], [2])
    assert list(parts) == [
        *(Part(0, *rest) for rest in (["prepare"], ["policy", "sft"], ["answers", "sft"], ["policy", "big"])),
        Part(0, "answers", "big"),
        *(Part(2, *rest) for rest in (["prepare"], ["policy", "sft"], ["answers", "sft"], ["policy", "big"])),
        Part(2, "answers", "big"),
        Part(2, "policy", "untuned"),
        Part(2, "answers", "untuned"),
    ]
    assert parts[Part(2, "policy", "untuned")] == {Part(2, "policy", "sft")}
    assert parts[Part(2, "policy", "big")] == {Part(2, "prepare")}


def test_a_length_that_is_not_asked_for_is_not_waited_for_but_has_to_be_there(tmp_path: Path) -> None:
    parts = parts_of(["parallel-equal"], [0], [])
    assert parts[Part(0, "answers", "parallel-equal")] == {Part(0, "policy", "sft")}
    missing = [("parallel-equal", 0), ("parallel-equal", 1)]
    assert missing_lengths(["parallel-equal", "sft"], [0, 1], tmp_path) == missing
    assert missing_lengths(["parallel-equal", "op-grpo"], [0, 1], tmp_path) == []
    answers = RunDir(tmp_path / "seed-1" / "answers")
    answers.begin("op-grpo", {})
    assert missing_lengths(["parallel-equal"], [0, 1], tmp_path) == missing
    answers.finish("op-grpo", 1, 1)
    assert missing_lengths(["parallel-equal"], [0, 1], tmp_path) == missing[:1]


def test_samples_of_one_policy_are_drawn_once() -> None:
    parts = parts_of(["sft", "op-grpo", "parallel", "parallel-equal", "parallel-2"], [0], [])
    first = Part(0, "answers", "parallel")
    assert first in parts[Part(0, "answers", "parallel-equal")] and first in parts[Part(0, "answers", "parallel-2")]
    assert parts[first] == {Part(0, "policy", "sft")}


def test_no_more_than_the_jobs_are_under_way() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def make(part: Part) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        pause.wait(0.001)
        with lock:
            now -= 1

    pause = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        list(made(parts_of(SYSTEMS, [0, 1, 2], [0]), pool, 2, make))
    assert most == 2


def test_a_failure_ends_it() -> None:
    def make(part: Part) -> None:
        if part.kind == "answers":
            raise ValueError(part.name)

    seen = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="sft"):
        seen.extend(made(parts_of(["sft", "big"], [0], []), pool, 1, make))
    assert seen == [Part(0, "prepare"), Part(0, "policy", "sft")]
