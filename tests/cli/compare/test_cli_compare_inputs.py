"""What `overton compare` reads, and which answer belongs to which question and system."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_material import ANSWER, QUESTIONS, VIEWS, strict, write_rows

from overton.commands.comparing import compare_files
from overton.commands.comparing_files import join_saved, read_references, read_saved
from overton.commands.scoring_pairs import Evaluators
from overton.errors import DataError
from overton.evaluation.statistics import interval
from overton.jsonio import read_jsonl
from overton.report.compare import build_comparison

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def test_the_log_of_a_published_evaluation(tmp_path: Path, encoder: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    lines = "\n".join(f"In the perspective of L, {v}." for v in VIEWS[:2])
    for split, question in (("5p", "Is it so?"), ("6p", "is it so?")):  # one text in two splits
        with open(folder / f"test_{split}.csv", "w", newline="") as file:
            csv.writer(file).writerows([["prompt", "answer"], [question, lines]])
    rows = [
        {"system": "s", "split": split, "prompt": "IS IT SO?", "logged": {"pairs": []}, "response_sentences": said}
        for split, said in (
            ("5p", ["</think>\n\nIn the perspective of A, the truth matters", "1", "e"]),
            ("6p", ["In the perspective of B, nobody knows", VIEWS[0], VIEWS[1]]),
        )
    ]
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    found = compare_files([path], folder, strict(encoder))
    score = found["systems"]["s"]
    assert score["units"]["mean"] == 2.0  # one sentence with letters, and three
    assert score["coverage"] == pytest.approx(interval([0.5, 1.0]))
    assert score["precision"] == pytest.approx(interval([1.0, 2 / 3]))
    assert list(found["splits"]) == ["split"]
    assert found["faults"]["s"]["think"]["answers"] == 1
    assert found["faults"]["s"]["label_prefix"]["answers"] == 2
    kept = compare_files([path], folder, Evaluators(estimator=str(encoder), threshold=0.9999, keep_labels=True))
    assert kept["systems"]["s"]["coverage"]["mean"] == 0.0  # no label is the reference's
    assert any("without labels" in note for note in kept["notes"])


def test_without_references_one_id_is_one_question_whatever_its_prompt(tmp_path: Path, encoder: Path) -> None:
    def file(name: str, rows: list[tuple[str, str]]) -> Path:
        return write_rows(tmp_path / name, [{"id": i, "prompt": p, "answer": "One thing. Another."} for i, p in rows])

    plain = file("plain.jsonl", [("q1", QUESTIONS[0]), ("q2", QUESTIONS[1])])
    brief = file("brief.jsonl", [("q1", f"Be brief. {QUESTIONS[0]}"), ("q2", f"Be brief. {QUESTIONS[1]}")])
    found = compare_files([plain, brief], None, strict(encoder), resamples=100)
    assert [own["shared_by_all"] for own in found["answers"].values()] == [2, 2]
    assert {row["n"] for row in found["comparisons"] if row["metric"] == "words"} == {2}
    assert any("2 answers were joined by `id`" in note for note in found["notes"])
    assert not any("not every system" in note for note in found["notes"])
    # Where a prompt has another id in another file, the ids are no common ones.
    other = file("other.jsonl", [("q2", QUESTIONS[2]), ("q1", QUESTIONS[1])])
    pairs, _, other_text = join_saved(read_saved([plain, other]), None)
    assert [s.text for _, s in pairs] == [QUESTIONS[0], QUESTIONS[1], QUESTIONS[2], QUESTIONS[1]]
    assert other_text == 0


def test_a_folder_of_references_is_joined_by_the_ids_in_its_tables(tmp_path: Path, refs: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = list(read_jsonl(refs))
    write_rows(folder / "5p.jsonl", rows[:3])
    write_rows(folder / "test_6p.jsonl", [{**rows[3], "id": "q0"}])  # q0 in both tables, q1 and q2 in one

    def joined(*answers: dict[str, str]) -> tuple[list[str], list[int]]:
        path = write_rows(tmp_path / "answers.jsonl", [{"answer": "x", **row} for row in answers])
        pairs, unmatched, _ = join_saved(read_saved([path]), read_references(folder))
        return [s.id for _, s in pairs], unmatched

    assert joined({"id": "q1"}, {"id": "q2", "split": "5p"}) == (["5p/q1", "5p/q2"], [])
    assert joined({"id": "q0", "split": "5p"}) == (["5p/q0"], [])
    assert joined({"id": "q0", "split": "6p"}) == (["test_6p/q0"], [])
    assert joined({"id": "5p/q0"}, {"id": "q0"}) == (["5p/q0"], [1])
    assert joined({"id": "other", "prompt": QUESTIONS[3]}) == (["test_6p/q0"], [])
    write_rows(folder / "test_5p.jsonl", rows[:2])
    with pytest.raises(DataError, match=r"5p\.jsonl and test_5p\.jsonl are both the table of split '5p'"):
        joined({"id": "q1"})


def test_one_question_has_one_answer_of_a_system_whatever_the_split(
    fails: Fails, tmp_path: Path, refs: Path, encoder: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "5p.jsonl").write_bytes(refs.read_bytes())
    rows = [
        {"id": i, "prompt": QUESTIONS[0], "split": split, "answer": "x"} for i, split in (("a", "5p"), ("b", "dev"))
    ]
    path = write_rows(tmp_path / "twice.jsonl", rows)
    said = fails("compare", path, "--references", folder, "--estimator", encoder)
    assert "system 'twice': answers 'a' and 'b' both belong to '5p/q0'; keep one" in said


def test_two_answers_to_one_question_are_named_with_their_system(
    fails: Fails, tmp_path: Path, refs: Path, good: Path, encoder: Path
) -> None:
    rows = [{"id": "q1", "answer": "x"}, {"id": "zz", "prompt": QUESTIONS[1], "answer": "y"}]
    path = write_rows(tmp_path / "twice.jsonl", rows)
    said = fails("compare", good, path, "--references", refs, "--estimator", encoder)
    assert "system 'twice': answers 'q1' and 'zz' both belong to 'q1'; keep one" in said


def test_systems_keep_their_names_apart(tmp_path: Path, refs: Path, encoder: Path) -> None:
    rows = [{"id": "q0", "answer": ANSWER}]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_rows(tmp_path / folder / "sft.jsonl", rows)
        write_rows(tmp_path / folder / f"{folder}.jsonl", [{**rows[0], "system": "mine"}])
    saved = read_saved([tmp_path / a / f"{b}.jsonl" for a in ("one", "two") for b in (a, "sft")])
    assert [row.answer.system for row in saved] == ["one/mine", "one/sft", "two/mine", "two/sft"]


def test_files_of_one_name_in_folders_of_one_name_are_told_apart(tmp_path: Path, refs: Path, encoder: Path) -> None:
    paths = []
    for index, folder in enumerate(("a", "b")):
        (tmp_path / folder / "x").mkdir(parents=True)
        rows = [{"id": f"q{index}", "answer": ANSWER}, {"id": f"q{index}", "answer": ANSWER, "system": "mine"}]
        paths.append(write_rows(tmp_path / folder / "x" / "ans.jsonl", rows))
    again = tmp_path / "a" / ".." / "a" / "x" / "ans.jsonl"
    found = compare_files([*paths, again], refs, Evaluators(estimator=str(encoder)), resamples=100)
    assert set(found["systems"]) == {"a/x/ans", "b/x/ans", "a/x/ans/mine", "b/x/ans/mine"}
    assert list(found["settings"]["files"]) == ["a/x/ans.jsonl", "b/x/ans.jsonl"]
    assert all(own["answers"] == 1 for own in found["answers"].values())
    renamed = {"a/x/ans/mine": "mine", "b/x/ans/mine": "mine"}
    assert {key: found["settings"][key] for key in ("system", "left_out", "renamed")} == {
        "system": [],
        "left_out": [],
        "renamed": renamed,
    }
    asked = ["a/x/ans/mine", "a/x/ans"]
    found = compare_files(paths, refs, Evaluators(estimator=str(encoder)), only=asked, resamples=100)
    assert found["settings"]["system"] == asked
    assert found["settings"]["left_out"] == ["b/x/ans", "b/x/ans/mine"]
    assert found["settings"]["renamed"] == {"a/x/ans/mine": "mine"}
    assert "systems left out" in build_comparison(found)


def test_bad_input_is_one_message_and_nothing_is_written(
    fails: Fails, overton: Call, tmp_path: Path, good: Path, refs: Path
) -> None:
    assert "none.jsonl: no such file" in fails("compare", "none.jsonl", "--references", refs)
    assert "none.jsonl: no such file" in fails("compare", good, "--references", "none.jsonl")
    assert "nowhere: no such file; a .jsonl" in fails("compare", good, "--references", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty: is a folder, a .jsonl" in fails("score", good, "--references", tmp_path / "empty")
    assert "holds no table" in fails("compare", good, "--references", tmp_path / "empty")
    assert "entailment is of references" in fails("compare", good, "--nli-model", "x")
    bad = tmp_path / "bad.jsonl"
    for row, wanted in (
        ({"prompt": "a", "response_sentences": "text"}, "row 1: `response_sentences` must be a list"),
        ({"response_sentences": ["text"]}, "row 1: `prompt` is missing"),
        ({"id": "q0", "answer": "x", "split": 5}, "row 1: `split` must be text"),
        ({"id": "q0", "answer": "x", "colour": 5}, "row 1: unknown column 'colour'"),
        ({"id": "other", "answer": "x"}, "none of 1 answers belongs to a row of"),
    ):
        write_rows(bad, [row])
        assert wanted in fails("compare", bad, "--references", refs)
    write_rows(bad, [{"prompt": "a", "response_sentences": ["x"], "system": "s"}] * 2)
    assert "system 's' answers 'a' twice" in fails("compare", bad, "--references", refs)
    assert overton("compare", good, "--format", "word")[0] == 2
    assert not Path("comparison").exists()
