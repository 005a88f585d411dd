"""Faults of answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.evaluation.faults import FAULTS, count_faults, find_faults
from overton.types import Answer

TEMPLATE = "<core perspectives>\nIn the perspective of A, one is.\n</core perspectives>\n<summary>All of it.</summary>"


def faults(text: str, finished: bool = True) -> set[str]:
    return set(find_faults(Answer("q", "Q?", text, finished=finished)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("People differ. Some agree.", set()),
        ("- Some agree.\n- Others do not!", set()),
        ('Is it right? "Perhaps."', set()),
        ("人们看法不同。", set()),
        ("Straße und Öl é", set()),
        ("", {"empty"}),
        ("1. 2. 3.", {"empty"}),
        ("<think>hm</think>\n", {"empty"}),
        ("<thought>People differ.", {"empty"}),
        ("and that is why people differ.", {"cut_head"}),
        (", which is fair.", {"cut_head"}),
        ("People differ, and the", {"cut_end"}),
        ("</think>\n\nPeople differ.", {"think"}),
        ("</reasoning>\n\nPeople differ.", {"think"}),
        ("In the perspective of Honesty, lies are wrong.", {"label_prefix"}),
        ("1.\nPeople differ.\n2.\nSome agree.", {"number_only"}),
        ("People differ.<|im_end|>", {"debris"}),
        ("People differ.</s>", {"debris"}),
        ("assistant\nPeople differ.", {"debris"}),
        ("On {situation} people differ.", {"debris"}),
        (TEMPLATE, {"label_prefix"}),
        (TEMPLATE.replace("</core perspectives>", ""), {"label_prefix", "debris"}),
        ("People do differ.\npeople do differ.", {"repeated"}),
        ("Be kind to her. People do differ. Be kind to her.", {"repeated"}),
        ("People differ. People differ.", set()),  # two words may be an exclamation
    ],
)
def test_each_fault(text: str, expected: set[str]) -> None:
    assert faults(text) == expected


@pytest.mark.parametrize(
    "end",
    [
        "- Privacy matters to the patient\n- Safety matters to all",
        "## Views\n\n1. **Privacy** matters to the patient\n2. **Safety** matters to all",
        "**1. Privacy** matters to the patient\n**2. Safety** matters to all",
        "(a) Privacy matters\n(b) Safety matters",
        "- Privacy\n  matters to the patient",
        "- Live in Portland, OR\n- Take vitamin A",
        "## What people say",
        "| view | why |\n|---|---|\n| privacy | a diary | is private",
        "view | why\n--- | ---\nprivacy | a diary",
        "People differ.\n\n---",
        "* * *",
        '{"views": [{"label": "Privacy"}]\n}',
        '```json\n["Privacy"]\n```',
        "~~~\nPrivacy\n~~~",
        "They said «perhaps»",
        "So be kind 🙂",
        "And *this* is **why**",
        "And _this_ is _why_",
    ],
)
def test_lists_and_other_marks_end_an_answer(end: str) -> None:
    assert faults(f"People differ.\n{end}") == set()


@pytest.mark.parametrize(
    "end",
    [
        "Privacy matters to the patient since what is in a file",
        "**Privacy** matters, (in short",
        "- Privacy: what is in a",
        "2. **Privacy**: the patient, the doctor,",
        "- Privacy\n  matters to the",
        "## Views and",
        "| privacy | a diary and",
        '{"views": ["Privacy",',
        "-",
    ],
)
def test_a_cut_end_shows_in_prose_and_in_lists(end: str) -> None:
    assert faults(f"People differ.\n{end}") == {"cut_end"}


def test_names_and_entries_of_lists_begin_small_and_are_no_cut_heads() -> None:
    for head in ("iPhones are private. Yes.", "eBay is fair.", "a) Some agree.\nb) Others do not.", "ii. Some agree."):
        assert faults(head) == set()
    for head in ("e.g. war is wrong.", "ing is wrong.", "a diary is private."):
        assert faults(head) == {"cut_head"}


def test_the_token_limit_cuts_an_end() -> None:
    assert faults("People differ.", finished=False) == {"cut_end"}


def test_sentences_without_their_full_stops_are_no_cut_ends() -> None:
    def found(*sentences: str) -> set[str]:
        return set(find_faults(Answer("q", "", "\n".join(sentences)), sentences))

    assert found("People differ", "Some agree") == set()
    assert found("People differ", "It depends on who they are") == set()
    assert found("People differ", "Some say that they and") == {"cut_end"}
    assert found("People differ, e", "g", "in war") == {"fragment"}
    assert found("1", "People differ") == {"number_only"}


def test_faults_are_counted_with_an_example() -> None:
    rows = [
        ("a", find_faults(Answer("a", "", "Fine."))),
        ("b", find_faults(Answer("b", "", "</think>" + "Long. " * 40))),
    ]
    found = count_faults(rows)
    assert list(found) == ["think"]
    assert (found["think"]["answers"], found["think"]["of"], found["think"]["id"]) == (1, 2, "b")
    assert len(found["think"]["example"]) == 80


def test_every_fault_has_its_words() -> None:
    assert all(FAULTS.values())


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("aB1.,<>|/{}[]\n sthink想"), max_size=80))
def test_any_text_has_known_faults_and_short_examples(text: str) -> None:
    for sentences in (None, text.split("\n")):
        found = find_faults(Answer("q", "", text), sentences)
        assert found.keys() <= FAULTS.keys()
        assert all(len(example) <= 80 and "\n" not in example for example in found.values())
