"""Labels behind "In the perspective of": where they end, and what may stand in them."""

from __future__ import annotations

import pytest

from overton.rewards import parse_references
from overton.segment import segment, strip_label
from overton.types import Perspective


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("In the perspective of Honesty, she lies.", "she lies."),
        ("  from the perspective of Right to life: she lives", "she lives"),
        ("She says: in the perspective of Honesty, no.", "She says: in the perspective of Honesty, no."),
        ("In the perspective of the mother it is right", "In the perspective of the mother it is right"),
        ("", ""),
    ],
)
def test_strip_label(text: str, left: str) -> None:
    assert strip_label(text) == left


def test_a_label_may_hold_versus_and_be_long() -> None:
    long = "Duty to help others (if the rich have more than they need and there are people in need of help)"
    answer = f"In the perspective of Good vs. Evil, they fight.\nIn the perspective of {long}, they share."
    assert [(s.label, s.explanation) for s in segment(answer)] == [
        ("Good vs. Evil", "they fight."),
        (long, "they share."),
    ]
    # Elsewhere a full stop ends a sentence, and with it the hope for a label.
    assert segment("In the perspective of Canvs. It is dear, they say.")[0].label == ""


@pytest.mark.parametrize(
    "label",
    [
        *("the U.S. government", "the U.S.", "U.S.-backed groups", "St. Augustine", "Dr. King", "Martin L. King Jr."),
        *("a poet (b. 1980)", "nurses (e.g. in D.C.)", "a 3.5-year-old", "the No. 5 tram"),
    ],
)
def test_a_label_may_hold_abbreviations_initials_and_numbers(label: str) -> None:
    line = f"In the perspective of {label}, secrets keep people safe."
    assert [(s.label, s.explanation) for s in segment(line)] == [(label, "secrets keep people safe.")]
    assert parse_references([line]) == (Perspective(label, "secrets keep people safe."),)


@pytest.mark.parametrize(
    "text", ["Care. It matters", "Care.It matters", "plan B. It fails", "Care... matters", "the law. Nurses obey"]
)
def test_a_sentence_that_ends_before_a_comma_leaves_no_label(text: str) -> None:
    line = f"In the perspective of {text}, they say."
    assert [(s.label, s.explanation) for s in segment(line)] == [("", f"{text}, they say.")]
    assert strip_label(line) == line


@pytest.mark.parametrize(
    "form",
    [
        "1. 🔒 **{}**: {}",
        "- 🛡️ **{}** – {}",
        "• 🔒 {}: {}",
        "**🔒 {}**\n{}",
        "**{} 🔒**: {}\n",
        "## 1. {} 🔒\n{}\n",
        "**🔵 Perspective 1 – {}:** {}\n",
        "**{}** ✅\n- {}\n",
        "관점 1: {}\n{}\n",
        "Opinião 1: {}\n{}\n",
    ],
)
def test_pictures_and_numbers_are_no_part_of_labels(form: str) -> None:
    text = "\n".join(form.format(*view) for view in (("Privacy", "It is hers."), ("Safety", "It may warn.")))
    assert [s.label for s in segment(text)] == ["Privacy", "Safety"]


@pytest.mark.parametrize(
    "head", ["Pros | Cons", "✅ **Arguments for** | ❌ **Arguments against**", "Vorteile | Nachteile"]
)
def test_cells_of_a_table_of_sides_are_views(head: str) -> None:
    text = f"| {head} |\n|:---|:---|\n| **Safety**: it warns. | It is hers. |\n| | Trust is lost. |"
    assert [(s.label, s.explanation) for s in segment(text)] == [
        ("Safety", "it warns."),
        ("", "It is hers."),
        ("", "Trust is lost."),
    ]


def test_rows_of_other_tables_stay_whole() -> None:
    text = "| Perspective | For | Against |\n|---|---|---|\n| Law | May. | Must. |\n| Care | Yes. | No. |"
    assert [(s.label, s.explanation) for s in segment(text)] == [("Law", "May. | Must."), ("Care", "Yes. | No.")]
