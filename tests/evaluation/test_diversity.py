"""Effective number of perspectives, repeated wording, and coverage over the first k perspectives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.evaluation.diversity import (
    MAX_K,
    coverage_by_k,
    distinct_n,
    matched_by_k,
    ngram_vendi,
    ngram_vendi_of,
    self_bleu,
    stated_by_k,
    vendi_score,
)
from overton.evaluation.form import form_row
from overton.evaluation.summary import unscored
from overton.matching import optimal_matching
from overton.types import Answer, Situation

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), min_size=0, max_size=9).map(" ".join), min_size=0, max_size=6)


def unit_rows(seed: int, n: int, d: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_an_answer_without_a_value_says_why() -> None:
    asked = Situation("q", "A nurse reads a diary.", ())
    rows = [form_row(Answer("q", asked.text, text), asked) for text in ("", "Privacy.", "It is private.")]
    assert unscored({"form": rows}) == {
        "perspective_ratio": {"not known": 3},
        "tokens": {"not known": 3},
        "distinct_1": {"the answer holds no word": 1},
        "distinct_2": {"no sentence holds two words": 2},
        "self_bleu": {"fewer than two sentences with a word": 3},
        "ngram_vendi": {"no sentence with a word, or more than 1,000": 1},
    }


def test_vendi_of_equal_and_of_orthogonal_perspectives() -> None:
    assert vendi_score(np.tile(unit_rows(0, 1, 8), (5, 1))) == pytest.approx(1.0)
    assert vendi_score(np.eye(6)) == pytest.approx(6.0)
    assert vendi_score(np.eye(6)[[0, 0, 1, 1]]) == pytest.approx(2.0)
    assert vendi_score(np.zeros((0, 4))) is None


def test_vendi_of_words_is_the_authors() -> None:
    # The example of https://huggingface.co/spaces/Vertaix/vendiscore, in its tokens: 3.90657.
    cut = ["Look , Jane .", "See Spot .", "See Spot run .", "Run , Spot , run .", "Jane sees Spot run ."]
    assert ngram_vendi_of([text.split() for text in cut]) == pytest.approx(3.90657, abs=5e-6)


def test_vendi_of_words_by_hand_and_at_its_ends() -> None:
    assert ngram_vendi(["It is private.", "it IS private"]) == pytest.approx(1.0)
    assert ngram_vendi(["a b", "c d", "e"]) == pytest.approx(3.0)
    assert ngram_vendi(["one", "!"]) == 1.0 and ngram_vendi(["!", ""]) is None and ngram_vendi([]) is None
    # Words: cosine 1/2. Pairs: none in common. So .25, and eigenvalues of .625 and .375.
    wanted = math.exp(-0.625 * math.log(0.625) - 0.375 * math.log(0.375))
    assert ngram_vendi(["a b", "a c"]) == pytest.approx(wanted)
    assert ngram_vendi(["a"] * 1000) == pytest.approx(1.0) and ngram_vendi(["a"] * 1001) is None


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_vendi_of_words_lies_between_one_and_the_texts_and_has_no_order(texts: list[str]) -> None:
    found, count = ngram_vendi(texts), sum(bool(text.split()) for text in texts)
    assert (found is None) == (count == 0)
    if found is not None:
        assert 1 <= found <= count
        assert ngram_vendi(texts[::-1]) == pytest.approx(found)


def test_vendi_of_two_by_hand() -> None:
    # Cosine .5: the eigenvalues of [[1, .5], [.5, 1]] / 2 are .75 and .25.
    pair = np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert vendi_score(pair) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_vendi_needs_no_order_and_lies_between_one_and_n(seed: int, n: int, d: int) -> None:
    rows = unit_rows(seed, n, d)
    score = vendi_score(rows)
    assert score is not None
    assert 1.0 <= score <= min(n, d) + 1e-9
    assert vendi_score(rows[np.random.default_rng(seed).permutation(n)]) == pytest.approx(score)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 10))
def test_vendi_is_the_von_neumann_entropy_of_the_vectors(seed: int, n: int) -> None:
    # Another way to the same figure: the singular values of the vectors, without the kernel.
    rows = unit_rows(seed, n, 5)
    weights = np.linalg.svd(rows, compute_uv=False) ** 2 / n
    weights = weights[weights > 1e-12]
    assert vendi_score(rows) == pytest.approx(float(np.prod(weights**-weights)), rel=1e-6)


def test_vendi_refuses_what_is_no_unit_vector() -> None:
    with pytest.raises(ValueError, match="length 1"):
        vendi_score(np.ones((2, 3)))
    with pytest.raises(ValueError, match="NaN"):
        vendi_score(np.full((2, 3), np.nan))


def test_distinct_n_by_hand() -> None:
    texts = ["The cat sat.", "the cat ran!"]
    assert distinct_n(texts, 1) == pytest.approx(4 / 6)  # the, cat, sat, ran
    assert distinct_n(texts, 2) == pytest.approx(3 / 4)  # the-cat twice; "sat the" spans two texts
    assert distinct_n(["one"], 2) is None


def test_self_bleu_by_hand() -> None:
    # Each text against the other: 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, 0 of 1 quadruple (smoothed to .1).
    texts = ["a b c d", "a b c e"]
    assert self_bleu(texts) == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** 0.25)


def test_self_bleu_clips_and_charges_for_brevity() -> None:
    # "a a a a a" holds one clipped "a"; "a" alone is four words shorter than its only reference.
    long = (1 / 5 * 0.1 / 4 * 0.1 / 3 * 0.1 / 2) ** 0.25
    short = (1 * 0.1 * 0.1 * 0.1) ** 0.25 * math.exp(1 - 5 / 1)
    assert self_bleu(["a a a a a", "a"]) == pytest.approx((long + short) / 2)


def test_self_bleu_at_its_ends() -> None:
    same = "people ought to keep what they promise"
    assert self_bleu([same, same, same]) == pytest.approx(1.0)
    assert self_bleu(["a b c d e", "f g h i j"]) == 0.0
    assert self_bleu([same]) is None
    assert self_bleu([same, "..."]) is None


@pytest.mark.parametrize(("words", "value"), [(1, 0.1**0.75), (2, 0.1**0.5), (3, 0.1**0.25), (4, 1.0), (9, 1.0)])
def test_self_bleu_of_equal_short_texts_is_that_of_nltk(words: int, value: float) -> None:
    # Orders without an n-gram count as .1: sentence_bleu with SmoothingFunction().method1 gives the same.
    assert self_bleu([" ".join("abcdefghi"[:words])] * 2) == pytest.approx(value)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_wording_measures_need_no_order(texts: list[str]) -> None:
    for value, other in (
        (self_bleu(texts), self_bleu(texts[::-1])),
        (distinct_n(texts, 2), distinct_n(texts[::-1], 2)),
    ):
        assert value == (None if other is None else pytest.approx(other))
        assert value is None or 0 <= value <= 1 + 1e-9


def naive_self_bleu(texts: list[str]) -> float | None:
    """BLEU of each text with one pass over all other texts for each n-gram."""
    tokens = [t.split() for t in texts if t.split()]
    if len(tokens) < 2:
        return None
    scores = []
    for i, own in enumerate(tokens):
        others = tokens[:i] + tokens[i + 1 :]
        product, unigrams = 1.0, 0
        for n in range(1, 5):
            grams = [tuple(own[j : j + n]) for j in range(len(own) - n + 1)]
            hits = sum(
                min(grams.count(g), max(sum(tuple(o[j : j + n]) == g for j in range(len(o))) for o in others))
                for g in set(grams)
            )
            unigrams = hits if n == 1 else unigrams
            product *= (hits or 0.1) / max(1, len(grams))
        closest = min((abs(len(o) - len(own)), len(o)) for o in others)[1]
        scores.append(product**0.25 * math.exp(min(0, 1 - closest / len(own))) if unigrams else 0.0)
    return sum(scores) / len(scores)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_self_bleu_is_what_the_definition_gives(texts: list[str]) -> None:
    expected = naive_self_bleu(texts)
    assert self_bleu(texts) == (None if expected is None else pytest.approx(expected))


def test_coverage_by_k_by_hand() -> None:
    found = coverage_by_k([1, 1, 2], references=4)
    assert found["coverage_curve"] == [0.25, 0.25, *[0.5] * 8]
    assert found["coverage_at_references"] == 0.5
    assert coverage_by_k([], 3) == {"coverage_curve": [0.0] * MAX_K, "coverage_at_references": 0.0}


def test_coverage_at_the_number_of_references_may_lie_beyond_the_curve() -> None:
    found = coverage_by_k(list(range(1, 13)), references=12)
    assert found["coverage_at_references"] == 1.0
    assert found["coverage_curve"][-1] == pytest.approx(10 / 12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 14))
def test_the_curve_never_falls_and_ends_at_coverage(seed: int, references: int, perspectives: int) -> None:
    cosines = np.random.default_rng(seed).uniform(-1, 1, (references, perspectives))
    matched = matched_by_k(cosines, 0.3)
    assert matched == sorted(matched)
    if perspectives <= max(MAX_K, references):
        assert (matched[-1] if matched else 0) == len(optimal_matching(cosines, 0.3))


def test_what_is_stated_by_the_first_perspectives() -> None:
    assert stated_by_k([0, None, 2, 0], 3) == [2, 2, 3]
    assert stated_by_k([None], 0) == []
