"""Preset `quality-diversity`, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_encoder import FakeEncoder, axis
from hypothesis import given
from hypothesis import strategies as st

from overton.errors import RecipeError
from overton.rewards import OvertonReward
from overton.rewards.quality_diversity import distances, log_det_gains
from overton.segment import format_answer
from overton.types import Group, Perspective, Score

VIEWS = {name: Perspective(name, f"view {name}") for name in "ABCZ"}
ENCODER = {p.explanation: axis(i) for i, p in enumerate(VIEWS.values())}
REFERENCES = (VIEWS["A"], VIEWS["B"], VIEWS["C"])


def score(*answers: str, **overrides: object) -> list[Score]:
    texts = tuple(format_answer([VIEWS[n] for n in names], "All.") if names else "" for names in answers)
    reward = OvertonReward(FakeEncoder(ENCODER), "quality-diversity", **{"quality": "precision", **overrides})
    return reward.score([Group("?", REFERENCES, texts)])[0]


def test_product_is_precision_times_the_distance_from_siblings() -> None:
    one, two, three = score("AB", "AZ", "AB")
    # "AB" and "AZ" share one of two lines: 1 - 2 / 4; "AB" and "AB" share both.
    assert one.terms["diversity"] == pytest.approx((0.5 + 0) / 2) and one.value == pytest.approx(1.0 * 0.25)
    assert two.terms["diversity"] == pytest.approx(0.5) and two.value == pytest.approx(0.5 * 0.5)
    assert three.value == one.value


def test_f1_is_of_what_matches_and_what_is_covered_and_charges_no_repetition() -> None:
    one, again, mixed, none = score("AB", "AAB", "ABZZ", "Z", diversity="none", quality="f1")
    assert one.value == again.value == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert mixed.value == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert none.value == 0 and (mixed.terms["relevance"], mixed.terms["coverage"]) == (0.5, pytest.approx(2 / 3))
    near, far = score("AB", "AZ", quality="f1")  # times diversity: one shared line of two each
    assert near.value == pytest.approx(0.8 * 0.5) and far.value == pytest.approx(2 * (1 / 3) * 0.5 / (5 / 6) * 0.5)


def test_precision_knows_nothing_of_coverage() -> None:
    few, many = score("A", "ABC", diversity="none")
    assert few.value == many.value == pytest.approx(1.0)
    assert (few.terms["coverage"], many.terms["coverage"]) == (pytest.approx(1 / 3), 1.0)
    assert [s.value for s in score("AZ", "Z", diversity="none")] == [pytest.approx(0.5), 0.0]


def test_determinant_adds_what_an_answer_adds_to_its_group() -> None:
    # Two equal answers and an orthogonal one: det(K + I) = (4 - 1) * 2 = 6; without a copy 4, without the other 3.
    one, two, other = score("A", "A", "B", diversity="determinant", weight=0.5)
    assert one.terms["diversity"] == two.terms["diversity"] == pytest.approx(math.log(6 / 4))
    assert other.terms["diversity"] == pytest.approx(math.log(2))
    assert other.value == pytest.approx(1 + 0.5 * math.log(2))


def test_an_empty_answer_is_worth_its_penalties_and_an_unscorable_one_nothing() -> None:
    empty, _ = score("", "A", diversity="determinant")
    assert empty.value == pytest.approx(-0.5) and empty.terms["diversity"] == pytest.approx(0)
    answers = (format_answer([VIEWS["A"]], "A."), None, format_answer([VIEWS["B"]], "B."))
    reward = OvertonReward(FakeEncoder(ENCODER), "quality-diversity", quality="precision")
    found = reward.score([Group("?", REFERENCES, answers, (True, True, False))])[0]  # type: ignore[arg-type]
    assert found[1].value is None and "not text" in found[1].reason
    assert [found[0].value, found[2].value] == [pytest.approx(1.0), pytest.approx(0.5)]  # the last one was cut off
    assert score("A")[0].value == pytest.approx(1.0)  # alone


def test_unknown_diversity_or_quality_is_named() -> None:
    with pytest.raises(RecipeError, match="'entropy'; known: product, determinant, none"):
        score("A", diversity="entropy")
    with pytest.raises(RecipeError, match="'recall'; known: f1, precision"):
        score("A", quality="recall")


@given(st.lists(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), max_size=4), min_size=1, max_size=5))
def test_bounds_and_the_determinants_themselves(values: list[list[list[float]]]) -> None:
    answers = []
    for rows in values:
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        norms = np.linalg.norm(table, axis=1)
        answers.append((table[norms > 1e-3] / norms[norms > 1e-3, None]).astype(np.float32))
    assert all(-1e-6 <= d <= 1 for d in distances(answers, 0.7))
    gains = log_det_gains(answers)
    means = [a.astype(np.float64).mean(axis=0) if len(a) else np.zeros(3) for a in answers]
    unit = np.array([m / n if (n := np.linalg.norm(m)) > 0 else m for m in means])

    def log_det(rows: np.ndarray) -> float:
        return float(np.log(np.linalg.det(rows @ rows.T + np.eye(len(rows)))))

    for i, gain in enumerate(gains):
        assert -1e-9 <= gain <= math.log(2) + 1e-9
        assert gain == pytest.approx(log_det(unit) - log_det(np.delete(unit, i, axis=0)), abs=1e-9)
