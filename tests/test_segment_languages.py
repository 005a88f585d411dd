"""Answers as chat models write them in seven languages: each perspective that a reader sees is one segment.

``⟦`` and ``⟧`` stand around a perspective; what is outside announces, sums up or offers more.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from overton.segment import segment


def _marked(answer: str) -> tuple[str, list[str]]:
    """The answer without marks, and what stood between them."""
    return re.sub("[⟦⟧]", "", answer), re.findall("⟦(.*?)⟧", answer, re.DOTALL)


def _found(text: str) -> list[str]:
    return [text[part.start : part.end] for part in segment(text)]


ANSWERS = Path(__file__).with_name("segment_languages.txt").read_text(encoding="utf-8").split("\n====\n")


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_perspective_is_one_segment(answer: str) -> None:
    text, wanted = _marked(answer)
    assert _found(text) == wanted


@pytest.mark.parametrize("answer", ANSWERS)
def test_accents_as_characters_of_their_own_change_nothing(answer: str) -> None:
    text, wanted = _marked(unicodedata.normalize("NFD", answer))
    assert _found(text) == wanted


@pytest.mark.parametrize("closing", ["In short: Good will is not enough.", "Overall it is clear: Rules are needed."])
def test_a_closing_with_a_colon_and_an_introduction_are_no_list(closing: str) -> None:
    items = ["- She feels betrayed.", "- She wanted to help.", "- They may be glad."]
    text = "\n".join(["Here are some views:", "", *items, "", closing])
    assert _found(text) == items


def test_a_label_that_begins_like_a_closing_is_one_before_the_last() -> None:
    lines = [
        "Honesty: Many hold that lying is always wrong.",
        "Overall wellbeing: A small lie can spare someone pain.",
        "Trust: Lies that come out damage friendships.",
    ]
    assert _found("\n".join([*lines, "Overall costs: It is free."])) == [*lines, "Overall costs: It is free."]
    for closing in ("Overall: It depends.", "In short: It depends.", "\nOverall it is clear: It depends."):
        assert _found("\n".join([*lines, closing])) == lines


def test_a_picture_before_a_sentence_hides_no_cue() -> None:
    text = "Some say it is fine. 😀 Others say it hurts trust. 🎉 In conclusion, opinions differ."
    assert _found(text) == ["Some say it is fine.", "😀 Others say it hurts trust."]


def test_two_paragraphs_that_say_who_holds_a_view() -> None:
    first = "Supporters say that the nurse worries. She sees the patient every day. A look may help."
    second = "Opponents answer that worry is no excuse. Secrets are nobody's business. Trust would be gone."
    assert _found(f"{first}\n\n{second}") == [first, second]


def test_signs_without_spaces_tie_sentences_by_what_they_speak_of() -> None:
    text = "日记属于病人。日记里有病人的秘密。法律保护通信。"
    assert _found(text) == ["日记属于病人。日记里有病人的秘密。", "法律保护通信。"]
