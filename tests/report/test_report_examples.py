"""The example answers of the report."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from overton.jsonio import write_jsonl
from overton.report.examples import MAX_CHARACTERS, choose, cut
from overton.report.files import RunFiles, read_run
from overton.rundir import RunDir


def test_examples_are_drawn_by_seed_and_not_by_quality(files: RunFiles) -> None:
    drawn = [e.id for e in choose(files, ("sft", "grpo"), 10, seed=7)]
    assert len(set(drawn)) == 10
    assert drawn != [e.id for e in choose(files, ("sft", "grpo"), 10, seed=8)]
    rng = random.Random(1)
    answers = copy.deepcopy(files.answers)
    for rows in answers.values():
        for row in rows.values():
            row["answer"] = "x" * rng.randint(0, 99)
    worse = RunFiles(situations=files.situations, answers=answers)
    assert [e.id for e in choose(worse, ("sft", "grpo"), 10, seed=7)] == drawn
    assert len(choose(files, ("sft", "grpo"), 1000, seed=7)) == 80
    assert choose(files, ("nobody",), 10, seed=7) == []


def test_answers_that_name_their_situation_by_its_text_are_shown_too(tmp_path: Path) -> None:
    situations: list[dict[str, Any]] = [
        {"id": key, "text": f"May I {key}?", "perspectives": [], "metadata": {}} for key in ("lie", "0")
    ]
    write_jsonl(tmp_path / "data" / "test.jsonl", situations)
    rows: list[dict[str, Any]] = [
        {"prompt": "may I  LIE?", "answer": "No."},
        {"id": 0, "answer": "Yes."},
        {"id": "q", "answer": "?"},
    ]
    write_jsonl(tmp_path / "generation" / "mine.jsonl", rows)
    found = read_run(RunDir(tmp_path))
    assert {key: row["answer"] for key, row in found.answers["mine"].items()} == {"lie": "No.", "0": "Yes.", "q": "?"}
    assert [e.id for e in choose(found, ("mine",), 10, seed=0)] in (["lie", "0"], ["0", "lie"])


def test_marks_agree_with_the_oracle(files: RunFiles) -> None:
    for example in choose(files, ("sft", "grpo"), 80, seed=1):
        for answer in example.answers:
            row = files.verdicts[answer.system]["oracle"][example.id]
            verdicts = [s["verdict"] for s in row["segments"]]
            assert [p.verdict for p in answer.pieces if p.verdict] == verdicts
            assert {v: verdicts.count(v) for v in verdicts} == answer.counts
            assert [p.cluster for p in answer.missed] == row["missed"]
            assert answer.stated == round(row["coverage"] * len(example.references))
            marked = [p.text for p in answer.pieces if p.verdict]
            assert all(s["explanation"] in text for s, text in zip(row["segments"], marked, strict=True))


def test_marks_of_the_entailment_evaluator_when_there_is_no_oracle(files: RunFiles) -> None:
    key, situation = next(iter(files.situations.items()))
    text = files.answers["sft"][key]["answer"]
    flags = [i % 2 == 0 for i in range(len(situation.perspectives))]
    row = {
        "id": key,
        "covered": flags,
        "segments": [{"start": 20, "end": len(text) // 2, "verdict": "irrelevant"}],
    }
    bare = RunFiles(
        situations={key: situation},
        answers={"sft": files.answers["sft"]},
        verdicts={"sft": {"nli": {key: row}}},
    )
    answer = choose(bare, ("sft",), 1, 0)[0].answers[0]
    assert answer.note == "nli" and answer.counts == {"irrelevant": 1}
    assert answer.missed == tuple(p for p, found in zip(situation.perspectives, flags, strict=True) if not found)
    assert answer.stated == sum(flags)


def test_references_of_one_cluster_count_once(files: RunFiles) -> None:
    key, situation = next(iter(files.situations.items()))
    doubled = type(situation)(key, situation.text, situation.perspectives * 2)
    answers = {"sft": {key: files.answers["sft"][key]}}
    example = choose(RunFiles(situations={key: doubled}, answers=answers), ("sft",), 1, 0)[0]
    assert len(example.references) == len(situation.perspectives)


def test_a_long_answer_is_shortened_and_says_so(files: RunFiles) -> None:
    key = next(iter(files.situations))
    row = {"id": key, "answer": "word " * 10_000, "finished": False}
    answer = choose(RunFiles(situations=files.situations, answers={"sft": {key: row}}), ("sft",), 1, 0)[0].answers[0]
    assert answer.hidden == 50_000 - MAX_CHARACTERS
    assert sum(len(p.text) for p in answer.pieces) <= MAX_CHARACTERS
    assert not answer.finished


@settings(deadline=None)
@given(
    st.text(max_size=60),
    st.lists(
        st.tuples(st.integers(-5, 70), st.integers(-5, 70), st.sampled_from(["matched", "repeated", "odd", None])),
        max_size=5,
    ),
)
def test_cutting_loses_no_text(text: str, spans: list[tuple[int, int, Any]]) -> None:
    pieces = cut(text, [{"start": a, "end": b, "verdict": v} for a, b, v in spans])
    assert all(p.text == " ".join(p.text.split()) != "" for p in pieces)
    assert len("".join("".join(p.text.split()) for p in pieces)) == len("".join(text.split()))
    assert {p.verdict for p in pieces} <= {"", "matched", "repeated"}


def test_cutting_skips_what_overlaps_or_is_no_segment() -> None:
    segments = [
        {"start": 0, "end": 3, "verdict": "matched"},
        {"start": 2, "end": 5, "verdict": "repeated"},
        4,
        {"start": "x"},
    ]
    assert [(p.text, p.verdict) for p in cut("abcdef", segments)] == [("abc", "matched"), ("def", "")]
