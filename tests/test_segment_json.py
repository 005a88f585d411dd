"""Answers in JSON: lists, objects, and what was broken off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.segment import segment

SAID = {
    "Privacy": "A diary is hers alone, and nobody else may read it.",
    "Safety": "The nurse may hear of a danger.",
    "Religious perspective": "Only God sees what a heart holds.",
}
ROWS = [{"label": label, "explanation": said} for label, said in SAID.items()]


def read(text: str) -> list[tuple[str, str]]:
    found = segment(text)
    assert all(s.explanation in text[s.start : s.end] for s in found)
    return [(s.label, s.explanation) for s in found]


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        {"perspectives": ROWS, "summary": "Views differ, and all of them count."},
        [
            {"id": f"p{i}", "probability": 0.2, "core_perspective": row["label"], "text": row["explanation"]}
            for i, row in enumerate(ROWS)
        ],
        SAID,
        {"situation": "A nurse reads a diary.", **SAID, "overall_summary": "Views differ."},
        {"views": SAID, "conclusion": "It depends."},
        {label: {"description": said, "strength": 3} for label, said in SAID.items()},
        [{label: said} for label, said in SAID.items()],
    ],
)
@pytest.mark.parametrize(
    "form",
    ["{}", "```json\n{}\n```", "Here they are:\n```\n{}\n```\nAsk on.", "<core perspectives>{}</core perspectives>"],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_labels_and_explanations_are_found(value: Any, form: str, indent: int | None) -> None:
    assert read(form.format(json.dumps(value, indent=indent))) == list(SAID.items())


def test_lists_of_an_object_are_read_one_after_the_other() -> None:
    said = list(SAID.values())
    assert read(json.dumps({"in favour": said[:2], "against": said[2:]})) == [("", s) for s in said]
    assert read(json.dumps([{"perspective": s, "probability": 0.1} for s in said])) == [("", s) for s in said]


def test_one_text_in_an_object_is_read_as_any_answer() -> None:
    prose = "On the one hand, a diary is hers. On the other hand, it may warn of a danger."
    assert read(json.dumps({"question": "May she read it?", "answer": prose})) == read(prose)


@pytest.mark.parametrize("lost", ['"}', '"}]', "er.", 'nger."}, {"label": "Religious perspective", "expl'])
def test_what_is_broken_off_is_read_as_far_as_it_goes(lost: str) -> None:
    whole = json.dumps(ROWS)
    text = whole[: whole.index(lost, whole.index("Safety"))] if lost != '"}]' else whole[:-3]
    found = read(text)
    assert found[0] == next(iter(SAID.items()))
    assert all(said.startswith(part) for (_, part), said in zip(found, SAID.values(), strict=False))
    assert len(found) == (3 if lost == '"}]' else 2)


@pytest.mark.parametrize(
    "text",
    [
        "[1] A diary is hers.\n[2] It may warn.",
        "[Note] a diary is hers.",
        '["A diary" is hers.',
        '{"a" "b"}',
        "{}",
        "[]",
        '["',
    ],
)
def test_what_only_begins_like_json_is_no_json(text: str) -> None:
    assert [said for _, said in read(text)] in (
        ["A diary is hers.", "It may warn."],
        [text],
        [],
    )


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES, st.integers(0, 400), st.booleans())
def test_any_json_and_any_beginning_of_it_can_be_read(value: Any, length: int, plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain)[:length]
    for part in segment(text):
        assert 0 <= part.start <= part.end <= len(text)
        assert part.explanation in text


@given(
    st.lists(
        st.text('abc "\\é\n', min_size=1, max_size=20).filter(lambda s: any(c in "abcé" for c in s)),
        min_size=1,
        max_size=6,
    )
)
def test_every_text_of_a_list_is_a_segment(said: list[str]) -> None:
    found = segment(json.dumps(said, ensure_ascii=False))
    assert [json.loads(f'"{s.explanation}"').strip() for s in found] == [s.strip() for s in said]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 90_000,
        '["' * 45_000,
        '{"a":' * 18_000,
        '["a",' * 18_000,
        "[" + '"a b",' * 15_000,
        "<table>" + "<tr>" * 20_000,
    ],
)
def test_long_and_broken_texts_end(text: str) -> None:
    assert isinstance(segment(text), list)
