"""Thoughts are no part of an answer, whoever reads it and by whatever mark the model sets them off."""

from __future__ import annotations

import pytest

from overton.evaluation.coverage import cut
from overton.evaluation.faults import find_faults
from overton.generation.clean import clean_answer
from overton.segment import behind, segment
from overton.types import Answer

MARKS = [(f"<{n}>", f"</{n}>") for n in ("think", "Thinking", "thought", "reasoning", "seed:think")]
MARKS.append(("[THINK]", "[/THINK]"))


@pytest.mark.parametrize(("opened", "closed"), MARKS)
def test_a_thought_is_left_out_by_all_who_read(opened: str, closed: str) -> None:
    said = "It hurts her deeply."
    for text in (f"{opened}He may lie here.{closed}\n{said}", f"He may lie here.{closed}\n{said}"):
        assert [s.explanation for s in segment(text)] == [said]
        assert clean_answer(text) == said
        assert [s.text for s in cut(text)] == [said]
        assert "think" in find_faults(Answer("a", "Q?", text))
    without_end = f"{opened}He may lie here."
    assert segment(without_end) == [] and clean_answer(without_end) == "" and not cut(without_end)
    begun = f"Q?\nAssistant: {opened}\n"
    assert segment(behind(begun, said)) == []
    assert behind(begun, f"lie.{closed}{said}") == f"lie.{closed}{said}"
    assert behind(f"{opened}He may lie here.{closed}", said) == said


def test_brackets_in_prose_are_words() -> None:
    text = "They [think] of it and go on."
    assert clean_answer(text) == text and len(segment(text)) == 1 and len(cut(text)) == 1
