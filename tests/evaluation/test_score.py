"""Scoring answers from anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overton.data.world.generate import make_world
from overton.errors import DataError
from overton.evaluation.nli import NliModel
from overton.evaluation.score import assign, score_answers
from overton.segment import format_answer
from overton.types import Answer, Situation


def test_form_always_and_entailment_with_a_model(model: NliModel, situation: Situation, answers: list[Answer]) -> None:
    plain = score_answers(answers, [situation])
    assert set(plain["rows"]["sft"]) == {"form"}
    assert plain["systems"]["sft"]["words"]["mean"] == plain["rows"]["sft"]["form"][0]["words"]
    full = score_answers(answers, [situation], nli=model)
    assert full["systems"]["sft"]["coverage"]["mean"] == 0.5
    assert full["settings"]["nli_model"] == "overlap"
    assert full["per_value"]["sft"]["Trust"] == {"covered": 0, "total": 1}
    assert full["per_value"]["sft"]["Safety"] == {"covered": 1, "total": 1}


def test_the_world_is_judged_by_its_oracle() -> None:
    situations = make_world(5, 5, 12, seed=0).test
    whole = [Answer(s.id, s.text, format_answer(s.perspectives, "All matter."), "all") for s in situations]
    part = [Answer(s.id, s.text, format_answer(s.perspectives[:2], "Some matter."), "two") for s in situations]
    found = score_answers([*whole, *part], situations)
    assert found["systems"]["all"]["oracle_coverage"]["mean"] == 1.0
    assert found["systems"]["all"]["oracle_precision"]["mean"] == 1.0
    expected = sum(2 / len(s.perspectives) for s in situations) / len(situations)
    assert found["systems"]["two"]["oracle_coverage"]["mean"] == pytest.approx(expected)
    (row,) = [c for c in found["comparisons"] if c["metric"] == "oracle_coverage"]
    assert {row["a"], row["b"]} == {"all", "two"}
    assert abs(row["difference"]) == pytest.approx(1 - expected)
    assert row["p_value"] < 0.05


def test_a_note_says_when_systems_answered_different_questions() -> None:
    situations = make_world(5, 5, 12, seed=0).test
    every = [Answer(s.id, s.text, "x", "all") for s in situations]
    some = [Answer(s.id, s.text, "x", "some") for s in situations[:3]]
    (note,) = [n for n in score_answers([*every, *some], situations)["notes"] if "not every system" in n]
    assert f"all {len(situations)} questions (some 3)" in note
    assert not any("not every" in n for n in score_answers(every, situations)["notes"])


def test_answers_are_joined_by_id_or_by_text(situation: Situation) -> None:
    by_text = [Answer(situation.text, situation.text, "x"), Answer("7", situation.text, "x", "b")]
    found, other_text = assign(by_text, [situation])
    assert ([a.id for a in found], other_text) == (["s1", "s1"], 0)
    accented = replace(situation, text="Darf die M\u00fctter lesen?")
    assert assign([Answer("7", "Darf die Mu\u0308tter lesen?", "x")], [accented])[0][0].id == "s1"
    # A template around the text is fine, another text is counted.
    assert assign([Answer("s1", f"Be brief. {situation.text}", "x")], [situation])[1] == 1


def test_strangers_and_doubles_are_refused(situation: Situation) -> None:
    with pytest.raises(DataError, match=r"answer 2.*'other'.*no situation"):
        assign([Answer("s1", "", "x"), Answer("other", "who?", "x")], [situation])
    with pytest.raises(DataError, match="answers 's1' and '7' both belong to 's1'"):
        assign([Answer("s1", "", "x"), Answer("7", situation.text, "x")], [situation])


def test_an_id_of_one_question_with_the_text_of_another_is_refused(situation: Situation) -> None:
    other = Situation("s2", "May a nurse read the diary?", situation.perspectives)
    for text in (other.text, other.text.upper()):
        swapped = [Answer("s1", situation.text, "x"), Answer("s1", text, "y", "b")]
        with pytest.raises(DataError, match=r"answer 2: the id 's1' names 's1' \('A mother.*the text of 's2'"):
            assign(swapped, [situation, other])
    # A text that two questions share does not tell which is meant.
    twin = Situation("s3", other.text, situation.perspectives)
    assert assign([Answer("s1", other.text, "x")], [situation, other, twin])[1] == 1
    assert assign([Answer("s2", other.text, "x")], [situation, other, twin])[1] == 0


def test_unanswered_situations_are_named(situation: Situation, answers: list[Answer]) -> None:
    other = Situation("s2", "Another question?", situation.perspectives)
    assert score_answers(answers, [situation, other])["unanswered"] == {"sft": ["s2"]}


def test_answers_joined_by_id_to_another_text_are_said(situation: Situation) -> None:
    right = score_answers([Answer("s1", situation.text, "x"), Answer("s1", "", "x", "b")], [situation])
    assert right["notes"] == []
    wrong = score_answers([Answer("s1", "who owns the sea?", "x")], [situation])
    assert len(wrong["notes"]) == 1
    assert "1 answers were joined by `id`" in wrong["notes"][0]


def test_a_systems_name_is_no_markup(model: NliModel, situation: Situation, capfd: pytest.CaptureFixture[str]) -> None:
    names = ["[/x]", "a [v2]"]
    found = score_answers([Answer("s1", "", "Trust.", name) for name in names], [situation], nli=model)
    assert list(found["systems"]) == names
    assert "a [v2]: entailment" in capfd.readouterr().err
