"""Credit per segment to advantages per token, against numbers worked by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.segment import format_answer, segment
from overton.training.credit import line_advantages, new_matches, token_advantages, token_spans
from overton.training.tokenizer import train_tokenizer
from overton.types import Perspective

TEXTS = [
    "In the perspective of Care, the café owner — naïve as she is — means well.\n",
    "隐私很重要。诚实也很重要！",
    "Всякий имеет право на тайну.",
    "emoji 🙂🙃 and 👩‍👩‍👧 and plain words, words, words",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A real byte-level BPE, so small that characters beyond ASCII fall into several tokens."""
    return train_tokenizer(TEXTS, 330)


# ------------------------------------------------------------------ advantages by hand


def test_line_advantages_by_hand() -> None:
    # Returns at discount .5: [1 - .25, -.5 + 0] hand over hand from the back.
    #   answer 0: credits +1 -1    G = [1 + .5 * -1, -1, 0] = [.5, -1, 0]
    #   answer 1: credits -1       G = [-1, 0]
    #   answer 2: none             G = [0]
    segments, decisions = line_advantages([[1.0, -1.0], [-1.0], []], 0.5)
    assert segments[0] == pytest.approx([0.5 - (0.5 - 1) / 2, -1 - -1])
    assert segments[1] == pytest.approx([-1 - (0.5 - 1) / 2])
    assert segments[2] == []
    # Decision 0 was reached by all three, decision 1 by two, decision 2 by one.
    assert decisions[0] == pytest.approx([0.5 - (-0.5 / 3), -1 - (-1 + 0) / 2, 0.0])
    assert decisions[1] == pytest.approx([-1 - (-0.5 / 3), 0 - (-1 + 0) / 2])
    assert decisions[2] == pytest.approx([0 - (-0.5 / 3)])


def test_without_discount_only_the_segment_itself_counts() -> None:
    segments, _ = line_advantages([[1.0, 1.0], [1.0, -1.0]], 0.0)
    assert segments == [[0.0, 1.0], [0.0, -1.0]]
    segments, _ = line_advantages([[1.0, 1.0], [1.0, -1.0]], 1.0)
    assert segments == [[1.0, 1.0], [-1.0, -1.0]]


def test_no_answers_and_answers_without_segments() -> None:
    assert line_advantages([], 0.9) == ([], [])
    assert line_advantages([[], []], 0.9) == ([[], []], [[0.0], [0.0]])


@given(st.lists(st.lists(st.sampled_from([-1.0, 0.5, 1.0]), max_size=5), min_size=1, max_size=6), st.floats(0, 1))
def test_advantages_at_each_position_sum_to_zero(credits: list[list[float]], discount: float) -> None:
    segments, decisions = line_advantages(credits, discount)
    for rows, lengths in ((segments, [len(c) for c in credits]), (decisions, [len(c) + 1 for c in credits])):
        assert [len(row) for row in rows] == lengths
        for t in range(max(lengths)):
            assert sum(row[t] for row in rows if len(row) > t) == pytest.approx(0, abs=1e-9)


# ------------------------------------------------------------------ over tokens


def test_tokens_of_the_template_by_hand() -> None:
    answer = format_answer([Perspective("Care", "it hurts"), Perspective("Duty", "she must")], "Both.")
    found = segment(answer)
    pieces = [
        *("<core perspectives>", "\n"),
        *("In the perspective of", " Care", ",", " it", " hurts", ".\n"),
        *("In the perspective of", " Duty", ",", " she must", ".", "\n"),
        *("</core perspectives>", "\n\n", "<summary>", "\nBoth.", "\n", "</summary>"),
    ]
    assert "".join(pieces) == answer
    ends = np.cumsum([len(p) for p in pieces]).tolist()
    spans = [*zip([0, *ends[:-1]], ends, strict=True), (len(answer), len(answer))]  # the end token has no text
    out = token_advantages(spans, found, [0.1, 0.2], [1.0, 2.0, 3.0])
    assert out.dtype == np.float32
    assert out.tolist() == pytest.approx([0, 0, 1, *[0.1] * 5, 2, *[0.2] * 4, 0, 3, *[0] * 6])


def test_an_opener_of_many_tokens_is_one_decision() -> None:
    answer = "In the perspective of Care, it hurts."
    spans = [(0, 2), (2, 6), (6, 18), (18, 21), (21, 26), (26, 37)]
    out = token_advantages(spans, segment(answer), [0.5], [1.0, 2.0])
    assert out.tolist() == [1, 1, 1, 1, 0.5, 0.5]
    # Nothing closes the list: the end token is the decision to stop, and no other special token after it.
    ended = token_advantages([*spans, (37, 37), (37, 37)], segment(answer), [0.5], [1.0, 2.0])
    assert ended.tolist() == [1, 1, 1, 1, 0.5, 0.5, 2, 0]


def test_prose_has_no_opener_and_a_cut_off_answer_no_decision_to_stop() -> None:
    answer = "It hurts. It helps."
    spans = [(0, 2), (2, 9), (9, 12), (12, 19)]
    assert token_advantages(spans, segment(answer), [0.5, -0.5], [1, 2, 3]).tolist() == [0.5, 0.5, 0.0, -0.5]
    assert token_advantages([(0, 3)], [], [], [1.0]).tolist() == [0.0]
    assert token_advantages([], segment(answer), [0.5, -0.5], [1, 2, 3]).tolist() == []


# ------------------------------------------------------------------ spans of tokens


def prefixes(ids: list[int], decode: Any) -> list[int]:
    return [len(decode(ids[: i + 1])) for i in range(len(ids))]


@pytest.mark.parametrize("text", [*TEXTS, "", "🙂", "a🙂b", "\n\n <summary>é</summary>", "In the perspective of é, ü."])
def test_spans_of_text_are_those_of_decoded_prefixes(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]

    def decode(part: list[int]) -> str:
        return str(tokenizer.decode(part, skip_special_tokens=True))

    assert decode(ids) == text
    spans = token_spans(ids, text, {}, decode)
    assert [end for _, end in spans] == prefixes(ids, decode)
    assert all(start == before or (start, end) == (before - 1, before) for (_, before), (start, end) in pairwise(spans))
    assert spans[-1] == (len(text), len(text))  # the end token has no text
    assert all(end > start for start, end in spans[:-1])


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_spans_of_any_tokens_cover_the_text_without_gaps(tokenizer: Any, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=25))

    def decode(part: list[int]) -> str:
        return str(tokenizer.decode(part, skip_special_tokens=True))

    pieces: dict[int, int] = {}
    spans = token_spans(ids, decode(ids), pieces, decode)
    assert len(spans) == len(ids)
    assert [end for _, end in spans] == prefixes(ids, decode)
    special = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert all((start == end) == (token in special) for token, (start, end) in zip(ids, spans, strict=True))
    assert all(0 <= start <= end for start, end in spans)
    assert spans == token_spans(ids, decode(ids), pieces, decode)  # from the cache


def test_each_segment_gets_its_own_tokens(tokenizer: Any) -> None:
    perspectives = [
        Perspective("Care", "the café owner — naïve — means well"),
        Perspective("Тайна", "у всякого 🙂 есть право"),
    ]
    answer = format_answer(perspectives, "Both.")
    found = segment(answer)
    ids = tokenizer(answer)["input_ids"]

    def decode(part: list[int]) -> str:
        return str(tokenizer.decode(part, skip_special_tokens=True))

    out = token_advantages(token_spans(ids, answer, {}, decode), found, [1.0, 2.0], [10.0, 20.0, 30.0])
    for value, part in zip((1.0, 2.0), found, strict=True):
        told = decode([t for t, v in zip(ids, out, strict=True) if v == value])
        assert told.strip() == answer[part.start : part.end].removeprefix("In the perspective of").strip()
    assert [decode([t]) for t, v in zip(ids, out, strict=True) if v >= 10] == [
        "In the perspective of",
        "In the perspective of",
        "</core perspectives>",
    ]


def test_share_of_new_matches_and_the_share_that_pays() -> None:
    assert new_matches([[1.0, -1.0, -1.0], [1.0]]) == (0.5, 0.5)
    share, least = new_matches([[1.0, -0.25], [-0.25, -0.25]])
    assert share == 0.25 and least == pytest.approx(0.2)
    assert new_matches([[], []]) == (1.0, 0.0)
    assert new_matches([[1.0, 1.0]]) == (1.0, 0.0)
    # At the share that pays, a segment earns nothing on average.
    assert least * 1 + (1 - least) * -0.25 == pytest.approx(0)
