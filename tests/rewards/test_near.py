"""Cosines that are nearly a threshold are looked at again in full precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fake_encoder import FakeEncoder

from overton.rewards import OvertonReward
from overton.rewards.near import near_threshold
from overton.rewards.plan import Rows
from overton.types import Group, Perspective

Vectors = npt.NDArray[np.float32]


def unit(*angles: float) -> Vectors:
    """Unit rows in the plane; the cosine of two is that of the difference of their angles."""
    return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32).reshape(-1, 2)


def rows_of(references: Vectors, *answers: Vectors) -> list[Rows]:
    return [Rows(references, own, unit()) for own in answers]


THIRD = float(np.arccos(0.7))


def test_only_pairs_that_are_compared_count() -> None:
    # Of each answer the first segment is .7 from the second of the two references.
    rows = rows_of(unit(2.5, 0.0), unit(THIRD, 1.9), unit(-THIRD, -2.0))
    assert near_threshold(rows, [0.7]) == [([1], [0], []), ([1], [0], [])]
    assert near_threshold(rows, [0.75]) == [([], [], []), ([], [], [])]
    # Two segments are .7 from each other, in one answer or in two.
    assert near_threshold(rows_of(unit(2.0), unit(0.0, THIRD)), [0.1, 0.7]) == [([], [0, 1], [])]
    assert near_threshold(rows_of(unit(2.0), unit(0.0), unit(THIRD)), [0.1, 0.7]) == [([], [], []), ([], [], [])]


@pytest.mark.parametrize("references", [0, 2])
@pytest.mark.parametrize("ties", [False, True])
def test_nothing_to_compare(references: int, ties: bool) -> None:
    assert near_threshold(rows_of(unit(*range(references)), unit(), unit()), [0.7], ties=ties) == [([], [], [])] * 2
    assert near_threshold(rows_of(unit(*range(references))), [0.7], ties=ties) == []


class Rounding(FakeEncoder):
    """Moves every vector a little toward the first axis, unless asked for exact ones."""

    bf16 = True

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> Vectors:
        rows = super().encode(texts, contexts, preprocess=preprocess)
        rows[:, 0] = np.where(rows[:, 0] < 1, rows[:, 0] + 0.0004, 1)
        return rows

    def encode_exact(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> Vectors:
        return super().encode(texts, contexts, preprocess=preprocess)


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
def test_scores_are_those_of_full_precision(preset: str) -> None:
    known = {"r": [1.0, 0.0], "q": [-1.0, 0.0], "s": [0.6998, 0.7143], "far": [0.0, 1.0]}
    answer = "In the perspective of A, s\nIn the perspective of B, far"
    known |= {"In the perspective of A s": known["s"], "In the perspective of B far": known["far"]}
    rounding, full = Rounding(known, threshold=0.7), FakeEncoder(known, threshold=0.7)
    group = Group("", (Perspective("", "r"), Perspective("", "q")), (answer,))
    found, wanted = (OvertonReward(e, preset, threshold=0.7).score([group])[0][0] for e in (rounding, full))
    assert found.matches == wanted.matches == ()
    assert found.value == wanted.value
    every, again = (texts for texts, _, _ in rounding.calls)
    assert again == [every[0], every[2]]  # the reference and the segment that are near


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


def test_references_that_are_as_near_count_where_the_nearest_decides() -> None:
    # References at 0 and 1, and one far off; segments midway (both .878 away), nearly so, at one of them, far from all.
    rows = rows_of(unit(0.0, 1.0, 3.0), unit(0.5, 0.5004, 0.1, 2.0))
    assert near_threshold(rows, [0.7], ties=True) == [([0, 1], [0, 1], [])]
    assert near_threshold(rows, [0.7]) == [([], [], [])]
    assert near_threshold(rows, [0.99], ties=True) == [([], [], [])]  # none matches
    assert near_threshold(rows_of(unit(0.0), unit(0.1)), [0.7], ties=True) == [([], [], [])]


def test_an_answer_in_full_precision_leaves_its_siblings_rounded() -> None:
    known = {"r": [0.9, 0.4359], "near": [0.3253, 0.9456], "hit": [0.95, 0.3122]}  # near: .705 from r
    answers = tuple(f"In the perspective of A, {text}" for text in ("near", "hit"))
    reward = OvertonReward(Rounding(known, threshold=0.705), threshold=0.705)
    full = OvertonReward(FakeEncoder(known, threshold=0.705), threshold=0.705)
    group = Group("", (Perspective("", "r"),), answers)
    near, hit = reward.score([group])[0]
    exact = full.score([group])[0]
    assert near == exact[0]
    assert hit.matches[0].cosine > exact[1].matches[0].cosine
    assert hit == reward.score([Group("", group.references, answers[1:])])[0][0]


def test_a_sentence_of_the_summary_counts_with_the_segment_it_is_compared_with() -> None:
    rows = Rows(unit(2.0), unit(0.0, 3.0), unit(1.5, THIRD))
    assert near_threshold([rows], [0.7]) == [([], [0], [1])]
    known = {"r": [0.8, 0.6], "s": [0.9, 0.4359], "t": [0.4, 0.9165]}  # s and t: .7595, rounded .7599
    answer = "<core perspectives>\nIn the perspective of A, s.\n</core perspectives>\n\n<summary>t.</summary>"
    group = Group("", (Perspective("", "r"),), (answer,))
    settings: dict[str, Any] = {"threshold": 0.7597, "faithfulness_penalty": 1.0}
    found, wanted = (
        OvertonReward(e(known, threshold=0.7), **settings).score([group])[0][0] for e in (Rounding, FakeEncoder)
    )
    assert found.terms == wanted.terms and wanted.terms["faithfulness"] == 0.0


def test_an_encoder_that_rounds_and_has_nothing_more_exact_is_taken_as_it_is() -> None:
    class Rough(FakeEncoder):
        bf16 = True

    known = {"r": [1.0, 0.0], "s": [0.7002, 0.714]}
    group = Group("", (Perspective("", "r"),), ("In the perspective of A, s",))
    assert OvertonReward(Rough(known, threshold=0.7)).score([group])[0][0].terms["coverage"] == 1.0
