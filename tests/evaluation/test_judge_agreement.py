"""Krippendorff's alpha against the worked examples of Krippendorff (2011), and as a property."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.evaluation.judge.agreement import krippendorff_alpha
from overton.evaluation.judge.summary import judge_figures

_ = None
# Section A: two observers, ten units, two values. Section B: two observers, twelve units, five categories.
A = list(zip("0100000010", "1110010000", strict=True))
B = list(zip("aabbdcccedda", "babbbccceddd", strict=True))
# Section C: four observers, twelve units, values 1 to 5, some missing.
C_ROWS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
C = list(zip(*C_ROWS, strict=True))


@pytest.mark.parametrize(
    ("units", "level", "alpha"),
    [(A, "nominal", 0.095), (B, "nominal", 0.692), (C, "nominal", 0.743), (C, "ordinal", 0.815)],
)
def test_worked_examples(units: list[tuple[object, ...]], level: str, alpha: float) -> None:
    assert krippendorff_alpha(units, level) == pytest.approx(alpha, abs=5e-4)  # type: ignore[arg-type]


def test_without_variation_or_pairs_there_is_no_alpha() -> None:
    assert krippendorff_alpha([], "nominal") is None
    assert krippendorff_alpha([(3, 3), (3, 3)], "ordinal") is None
    assert krippendorff_alpha([(1, None), (None, 2)], "ordinal") is None


def test_another_level_is_refused() -> None:
    with pytest.raises(ValueError, match="'nominal' or 'ordinal' is wanted, got 'interval'"):
        krippendorff_alpha([(1, 2), (2, 2)], "interval")  # type: ignore[arg-type]


def test_a_missing_judge_leaves_the_others() -> None:
    pairs = [(1, 1), (2, 3), (5, 4), (3, 3)]
    assert krippendorff_alpha([(*p, None) for p in pairs] + [(None, 5, None)], "ordinal") == krippendorff_alpha(
        pairs, "ordinal"
    )


def verdicts(a: str, b: str, judged: str) -> list[dict[str, object]]:
    """Rows of a pair; two letters a question: whom each of two judges prefers in both orders."""
    return [
        {"a": a, "b": b, "points": None, "judges": {str(j): {"a_first": w, "b_first": w} for j, w in enumerate(both)}}
        for both in judged.split()
    ]


def test_agreement_on_winners_does_not_hang_on_which_system_is_called_a() -> None:
    # Pair 1: 8 verdicts, 6 a and 2 b; of 4 questions 2 in dissent; expected 2 * 6 * 2 / (8 * 7) = 3 / 7: alpha -1 / 6.
    # Pair 2: no dissent, alpha 1. Weighted by 4 and 2 questions: (-4 / 6 + 2) / 6 = 2 / 9.
    first, second = "aa aa ab ab", "aa bb"
    turned = second.translate(str.maketrans("ab", "ba"))
    for other in (verdicts("x", "z", second), verdicts("z", "x", turned)):
        found = judge_figures([], [verdicts("x", "y", first), other], resamples=10)["agreement"]["winner"]
        assert found == {"alpha": pytest.approx(2 / 9), "units": 6}
    # A system that always wins says nothing of agreement beyond chance, and does not weigh.
    found = judge_figures([], [verdicts("x", "y", first), verdicts("x", "z", "aa aa")], resamples=10)["agreement"]
    assert found["winner"] == {"alpha": pytest.approx(-1 / 6), "units": 6}


units = st.lists(st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=2, max_size=4), min_size=1, max_size=12)


@settings(deadline=None)
@given(units)
def test_it_is_the_ratio_of_observed_to_expected_disagreement(given: list[list[int | None]]) -> None:
    """Pair by pair, without a coincidence matrix."""
    kept = [[v for v in unit if v is not None] for unit in given]
    kept = [unit for unit in kept if len(unit) > 1]
    every = [v for unit in kept for v in unit]
    n = len(every)

    def distance(one: int, other: int) -> float:
        low, high = min(one, other), max(one, other)
        between = sum(low <= v <= high for v in every) - (every.count(low) + every.count(high)) / 2
        return between**2 if low != high else 0.0

    expected = 2 * sum(distance(*pair) for pair in combinations(every, 2)) / (n * (n - 1)) if n else 0.0
    found = krippendorff_alpha(given, "ordinal")
    if not expected:
        assert found is None
        return
    observed = sum(2 * sum(distance(*p) for p in combinations(unit, 2)) / (len(unit) - 1) for unit in kept) / n
    assert found == pytest.approx(1 - observed / expected)


@settings(deadline=None)
@given(units)
def test_agreement_is_at_most_perfect_and_knows_no_order_of_judges(given: list[list[int | None]]) -> None:
    for level in ("nominal", "ordinal"):
        alpha = krippendorff_alpha(given, level)  # type: ignore[arg-type]
        assert alpha is None or alpha <= 1
        turned = krippendorff_alpha([unit[::-1] for unit in reversed(given)], level)  # type: ignore[arg-type]
        assert (alpha is None) == (turned is None)
        assert alpha is None or turned == pytest.approx(alpha)
