"""Thoughts are no part of an answer, whoever reads it and by whatever mark the model sets them off."""

from __future__ import annotations

import pytest

from overton.evaluation.coverage import cut
from overton.evaluation.faults import find_faults
from overton.generation.clean import clean_answer
from overton.segment import behind, parse, segment
from overton.types import Answer

MARKS = [(f"<{n}>", f"</{n}>") for n in ("think", "Thinking", "thought", "reasoning", "seed:think", "mm:think")]
MARKS.append(("[THINK]", "[/THINK]"))
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
MARKS.append(("<|channel|>analysis<|message|>", FINAL))
MARKS.append(("<|channel|>commentary json<|message|>", FINAL.replace("final", "final <|constrain|>json")))


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


@pytest.mark.parametrize(
    "thought",
    [
        "analysisHe may lie here.assistantfinal",
        "analysishe may lie here.assistantcommentary He may.assistantanalysisHm.\n\nassistantfinal",
        "commentaryHe may lie here.assistantfinal",
    ],
)
def test_channels_without_their_special_tokens_are_told_by_words_that_are_none(thought: str) -> None:
    said = "<core perspectives>\nIn the perspective of A, it hurts.\n</core perspectives>\n<summary>\nIt.\n</summary>"
    assert parse(thought + said)[0].valid and [s.label for s in segment(thought + said)] == ["A"]
    assert clean_answer(thought + said) == said
    assert [s.text for s in cut(thought + said)] == ["It hurts."]


def test_a_channel_that_was_cut_off_is_no_answer() -> None:
    for text in ("analysisHe may lie here.", "<|channel|>analysis", "<|channel|>commentary to=a<|message|>He may."):
        assert segment(text) == [] and clean_answer(text) == "" and not cut(text)


@pytest.mark.parametrize("text", ["Analysis: it hurts her.", "analysis shows that it hurts.", "The final say is his."])
def test_names_of_channels_in_prose_are_words(text: str) -> None:
    assert clean_answer(text) == text and len(segment(text)) == 1
