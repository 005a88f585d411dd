"""Cosines that are nearly a threshold are looked at again in full precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder

from overton.rewards import OvertonReward
from overton.rewards.near import near_threshold
from overton.rewards.plan import Plan
from overton.types import Group, Perspective, Segment


def unit(*angles: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Unit rows in the plane; the cosine of two is that of the difference of their angles."""
    return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32).reshape(-1, 2)


def plan_of(references: int, *sizes: int) -> Plan:
    count = references + sum(sizes)
    return Plan([f"t{i}" for i in range(count)], [""] * count, [[Segment("", "x", 0, 1)] * size for size in sizes])


def test_only_pairs_that_are_compared_count() -> None:
    third = float(np.arccos(0.7))
    # One reference; two answers of two segments each. The first segment of both is .7 from the reference.
    rows = unit(0.0, third, 1.9, -third, 3.0)
    assert near_threshold(plan_of(1, 2, 2), 1, rows, [0.7]) == [1, 3]
    assert near_threshold(plan_of(1, 2, 2), 1, rows, [0.75]) == []
    # Segments 1 and 2 are .7 from each other, in one answer or in two.
    rows = unit(2.0, 0.0, third)
    assert near_threshold(plan_of(1, 2), 1, rows, [0.1, 0.7]) == [1, 2]
    assert near_threshold(plan_of(1, 1, 1), 1, rows, [0.1, 0.7]) == []


@pytest.mark.parametrize("references", [0, 2])
def test_nothing_to_compare(references: int) -> None:
    assert near_threshold(plan_of(references, 0, 0), references, unit(*range(references)), [0.7]) == []
    assert near_threshold(plan_of(references), references, unit(*range(references)), [0.7]) == []


class Rounding(FakeEncoder):
    """Moves every vector but the reference's a little toward the reference, unless asked for exact ones."""

    bf16 = True

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = super().encode(texts, contexts, preprocess=preprocess)
        rows[:, 0] = np.where(rows[:, 0] < 1, rows[:, 0] + 0.0004, 1)
        return rows

    def encode_exact(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        return super().encode(texts, contexts, preprocess=preprocess)


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
def test_scores_are_those_of_full_precision(preset: str) -> None:
    known = {"r": [1.0, 0.0], "s": [0.6998, 0.7143], "far": [0.0, 1.0]}
    answer = "In the perspective of A, s\nIn the perspective of B, far"
    known |= {"In the perspective of A s": known["s"], "In the perspective of B far": known["far"]}
    rounding, full = Rounding(known, threshold=0.7), FakeEncoder(known, threshold=0.7)
    group = Group("", (Perspective("", "r"),), (answer,))
    found, wanted = (OvertonReward(e, preset, threshold=0.7).score([group])[0][0] for e in (rounding, full))
    assert found.matches == wanted.matches == ()
    assert found.value == wanted.value
    assert [texts for texts, _, _ in rounding.calls[1:]] == [["r"], [rounding.calls[0][0][0]]]  # the near segment


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
def test_siblings_do_not_change_what_rounding_gives(preset: str) -> None:
    """Whatever else is in the group, an answer gets the score, to the last digit, that it gets alone."""
    rng = np.random.default_rng(0)
    known = {f"t{i}": row.tolist() for i, row in enumerate(unit(*rng.uniform(-1.2, 1.2, 60)))}
    known |= {f"In the perspective of A t{i}": known[f"t{i}"] for i in range(60)}
    references = tuple(Perspective("", f"t{i}") for i in range(3))
    lines = [f"In the perspective of A, t{i}" for i in range(3, 60)]
    answers = tuple("\n".join(rng.choice(lines, 4, replace=False)) for _ in range(40))
    reward = OvertonReward(Rounding(known, threshold=0.7), preset, threshold=0.7)
    together = reward.score([Group("", references, answers)])[0]
    alone = [reward.score([Group("", references, (answer,))])[0][0] for answer in answers]
    assert together == alone
    assert len({score.value for score in together}) >= 3


def test_segments_with_two_references_as_near_count_where_the_nearest_decides() -> None:
    # References at 0 and 1; the segments lie midway (both .878 away), nearly so, at one of them, and far from both.
    rows = unit(0.0, 1.0, 0.5, 0.5004, 0.1, 2.6)
    assert near_threshold(plan_of(2, 4), 2, rows, [0.7], ties=True) == [2, 3]
    assert near_threshold(plan_of(2, 4), 2, rows, [0.7]) == []
    assert near_threshold(plan_of(2, 4), 2, rows, [0.99], ties=True) == []  # none matches
    assert near_threshold(plan_of(2, 0, 0), 2, rows[:2], [0.7], ties=True) == []
    assert near_threshold(plan_of(1, 1), 1, unit(0.0, 0.1), [0.7], ties=True) == []
