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


def test_a_name_may_be_as_long_as_what_is_said() -> None:
    rows = [
        {"label": "Freedom", "explanation": "be free"},
        {"label": "Right to bodily autonomy", "text": "Life comes first."},
        {"perspective": "Freedom of the press", "reason": "Print it."},
    ]
    said = [("Freedom", "be free"), ("Right to bodily autonomy", "Life comes first.")]
    assert read(json.dumps(rows)) == [*said, ("Freedom of the press", "Print it.")]
    # A view may stand under a key that elsewhere names it.
    assert read(json.dumps([{"perspective": "A diary is hers alone and not yours", "reason": "privacy"}])) == [
        ("", "A diary is hers alone and not yours")
    ]


def test_lists_of_an_object_are_read_one_after_the_other() -> None:
    said = list(SAID.values())
    assert read(json.dumps({"in favour": said[:2], "against": said[2:]})) == [("", s) for s in said]
    assert read(json.dumps([{"perspective": s, "probability": 0.1} for s in said])) == [("", s) for s in said]


def test_one_text_in_an_object_is_read_as_any_answer() -> None:
    prose = "On the one hand, a diary is hers. On the other hand, it may warn of a danger."
    assert read(json.dumps({"question": "May she read it?", "answer": prose})) == read(prose)


@pytest.mark.parametrize(
    "form",
    [
        '{"label": "Privacy", "text": "A."}\n{"label": "Safety", "text": "B."}',
        '{"label": "Privacy", "text": "A."},\n{"label": "Safety", "text": "B."}\nAsk on.',
        'Two:\n```json\n{"view": "Privacy", "why": "A."}\n```\n```JSON\n{"view": "Safety", "why": "B."}\n```',
        'Two views:\n\n[{"name": "Privacy", "text": "A."},\n{"name": "Safety", "text": "B."}]\n\nAsk on.',
        '{"view_1": {"name": "Privacy", "text": "A."}, "view_2": {"name": "Safety", "text": "B."}}',
        '{"title": "May she?", "Privacy": "A.", "Safety": {"text": "B."}, "summary": {"text": "C."}, "notes": ["D."]}',
        '{"a": {"name": "x", "views": [{"title": "Privacy", "summary": "A."}, {"title": "Safety", "summary": "B."}]}}',
        '["Privacy: A.", "**Safety**: B."]',
        '{"answer": "Two views:\\n\\n1. **Privacy**: A.\\n2. **Safety**: B."}',
        '[{"观点": "Privacy", "说明": "A."}, {"观点": "Safety", "说明": "B."}]',
    ],
)
def test_other_forms_of_json_are_read(form: str) -> None:
    first, second = "A diary is hers alone.", "The nurse may hear of a danger."
    assert read(form.replace("A.", first).replace("B.", second)) == [("Privacy", first), ("Safety", second)]


def test_line_breaks_within_a_text_and_shares_in_per_cent_are_read() -> None:
    rows = [("A diary is\nhers alone.", "40%"), ("It warns of\n\na danger.", "35.5%")]
    text = ", ".join(f'{{"text": "{said}", "probability": {share}}}' for said, share in rows)
    assert read(f'{{"responses": [{text}]}}') == [("", said) for said, _ in rows]


def test_keys_that_only_count_are_no_labels() -> None:
    assert read('{"viewpoint_1": "It is hers alone.", "viewpoint_2": "It warns."}') == [
        ("", "It is hers alone."),
        ("", "It warns."),
    ]


def test_nothing_that_an_object_says_is_passed_over() -> None:
    found = read('[{"view": "Privacy", "claim": "It is hers.", "reasons": ["She wrote it.", "Nobody asked."]}]')
    assert found == [("Privacy", 'It is hers.", "reasons": ["She wrote it.", "Nobody asked.')]
    sides = [{"stance": "Pro", "arguments": ["It warns.", "It heals."]}, {"stance": "Con", "points": [{"text": "No."}]}]
    assert [said for _, said in read(json.dumps({"views": sides}))] == ["It warns.", "It heals.", "No."]


def test_notes_that_are_most_of_what_is_said_are_read() -> None:
    note = "Budgets are watched closely. Soup is served at noon in the canteen of the ward, and it rains."
    for beside in ({"note": note}, {"sources": [note]}, {"summary": {"text": note}}):
        assert [said for _, said in read(json.dumps({"views": ["It is hers alone."], **beside}))] == [
            "It is hers alone.",
            note,
        ]
        many = {"views": list(SAID.values()), **beside}
        assert len(read(json.dumps(many))) == 3
    closed = json.dumps({"answer": "- It is hers. \n- It warns.\n\n" + f"In conclusion, {note}"})
    assert len(read(closed)) == 2


def test_json_beside_more_prose_is_part_of_the_prose() -> None:
    prose = "Staff say that a danger must be known. However, patients say that a diary is theirs, whatever is in it."
    found = read(f'{prose}\n```json\n{{"shared": "The nurse may know."}}\n```\nRegulators want a record of it all.')
    assert len(found) == 4 and found[0][1].startswith("Staff")


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
