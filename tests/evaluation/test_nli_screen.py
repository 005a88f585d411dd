"""Screening in bfloat16: every figure comes out as in float32."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.evaluation.nli import nli_rows
from overton.evaluation.nli_model import NliModel, Pair, load_nli
from overton.evaluation.nli_screen import screened
from overton.types import Answer, Perspective, Situation

PAIRS = [(f"premise {i}", f"hypothesis {j}") for i in range(4) for j in range(5)]


class Rounded(NliModel):
    """Known probabilities, and others for the fast way."""

    def __init__(self, exact: dict[Pair, float], rough: dict[Pair, float]) -> None:
        super().__init__(None, "known", 0, bf16=True)
        self.known, self.asked = (exact, rough), []

    def probabilities(self, pairs: Iterable[Pair], advance: object = None, *, rough: bool = False) -> dict[Pair, float]:
        todo = sorted(set(pairs))
        if not rough:
            self.asked += todo
        return {pair: self.known[rough][pair] for pair in todo}


@given(
    exact=st.lists(st.floats(0, 1), min_size=20, max_size=20),
    noise=st.lists(st.floats(-0.4, 0.4), min_size=20, max_size=20),
    threshold=st.floats(0.1, 0.9),
)
@settings(deadline=None)
def test_maxima_and_sides_are_exact_when_the_sample_shows_the_largest_gap(
    exact: list[float], noise: list[float], threshold: float
) -> None:
    # Twenty pairs are all in the sample.
    truth = dict(zip(PAIRS, exact, strict=True))
    model = Rounded(truth, {p: min(1.0, max(0.0, truth[p] + n)) for p, n in zip(PAIRS, noise, strict=True)})
    groups = [[p for p in PAIRS if p[0] == f"premise {i}"] for i in range(4)]
    found = screened(model, PAIRS, groups, threshold)
    for group in groups:
        assert max(found[p] for p in group) == max(truth[p] for p in group)
    assert {p: v >= threshold for p, v in found.items()} == {p: v >= threshold for p, v in truth.items()}


def test_only_what_decides_is_read_again() -> None:
    pairs = [("a", f"{i:04}") for i in range(4000)]
    truth = {pair: 0.1 + 0.0001 * i for i, pair in enumerate(pairs)}
    model = Rounded(truth, {pair: p + (0.0002 if i % 2 else -0.0002) for i, (pair, p) in enumerate(truth.items())})
    found = screened(model, pairs, [pairs[:2000], pairs[2000:]], 0.3)
    assert max(found[p] for p in pairs[:2000]) == truth[pairs[1999]]
    assert max(found[p] for p in pairs[2000:]) == truth[pairs[3999]]
    assert all((found[p] >= 0.3) == (truth[p] >= 0.3) for p in pairs)
    assert 64 <= len(model.asked) == len(set(model.asked)) < 400


def test_rows_of_a_real_model_are_those_of_float32(vivid_nli: Path) -> None:
    model = load_nli(vivid_nli)
    words = ("people", "may", "keep", "promises", "children", "need", "safety", "animals", "feel", "pain", "often")
    texts = [" ".join(words[i % 11 : i % 11 + 2 + i % 5]).capitalize() + f" {i}." for i in range(40)]
    views = tuple(Perspective("", text, cluster=str(i // 2)) for i, text in enumerate(texts[:12]))
    situations = {"a": Situation("a", "?", views), "b": Situation("b", "?", views[:5])}
    answers = [Answer("a", "", " ".join(texts[12:30])), Answer("b", "", " ".join(texts[20:]))]
    model.fast = True
    fast = nli_rows(model, answers, situations)
    model.fast = False
    for one, other in zip(fast, nli_rows(model, answers, situations), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            # Sums over batches of other sizes differ in the last digits.
            close = isinstance(value, float) or key in ("best", "reverse_best")
            assert value == (pytest.approx(other[key], abs=1e-6) if close else other[key]), key


def test_no_pairs_are_no_trouble() -> None:
    assert screened(Rounded({}, {}), [], []) == {}
