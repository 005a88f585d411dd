"""Sets that people wrote, as questions for any model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overton.cli import main
from overton.data import read_situations
from overton.data.questions import read_questions
from overton.data.table import read_table
from overton.errors import DataError
from overton.jsonio import write_jsonl
from people_files import write_argkp, write_perspectrum

REAL = Path(__file__).parents[3] / "shared" / "data"


def test_one_reference_a_cluster_with_its_stance(tmp_path: Path) -> None:
    found = read_questions("perspectrum", write_perspectrum(tmp_path / "p"))
    assert len(found) == 8
    assert all([p.stance for p in s.perspectives] == ["+", "+", "-"] for s in found)
    assert all(len({p.cluster for p in s.perspectives}) == 3 for s in found)
    assert [s.id for s in read_questions("perspectrum", tmp_path / "p", "dev")] == [
        f"perspectrum-{n}" for n in (1, 2, 3, 4)
    ]


def test_one_reference_a_key_point_with_its_stance(tmp_path: Path) -> None:
    found = read_questions("argkp", write_argkp(tmp_path / "a", ("train", "dev")), "dev")
    assert len(found) == 4
    assert all([p.stance for p in s.perspectives] == ["+", "+", "-", "-"] for s in found)


def test_the_verb_writes_a_file_that_every_reader_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "questions.jsonl"
    folder = write_perspectrum(tmp_path / "p")
    assert main(["questions", "perspectrum", str(folder), "--output", str(output)]) == 0
    assert "8 questions, 24 references" in capsys.readouterr().out
    assert read_situations(output) == read_questions("perspectrum", folder)
    assert [row.situation.text for row in read_table(output, {})] == [s.text for s in read_situations(output)]
    said = [s.perspectives[0].explanation for s in read_situations(output)]
    rows = [
        {"id": s.id, "answer": f"{one}. Nothing else."} for s, one in zip(read_situations(output), said, strict=True)
    ]
    write_jsonl(tmp_path / "answers.jsonl", rows)
    assert main(["score", str(tmp_path / "answers.jsonl"), "--references", str(output), "--json"]) == 0


@pytest.mark.parametrize("name", ["questions.csv", "questions.jsonl.gz"])
def test_a_file_that_no_reader_would_take_is_refused(tmp_path: Path, capsys: Any, name: str) -> None:
    given = ["questions", "perspectrum", str(write_perspectrum(tmp_path / "p")), "--output", str(tmp_path / name)]
    assert main(given) == 1
    assert f"{name}: JSON lines are written; give a name that ends in .jsonl\n" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="perspectrum, argkp"):
        read_questions("world", tmp_path)
    for source, folder, reason in (
        ("perspectrum", tmp_path / "none", "no such folder"),
        ("argkp", tmp_path, "no arguments_"),
    ):
        with pytest.raises(DataError, match=reason) as error:
            read_questions(source, folder)
        assert "data.path" not in str(error.value)  # no key of a recipe: there is none
    with pytest.raises(DataError, match=r"'test'.*dev, train"):
        read_questions("perspectrum", write_perspectrum(tmp_path / "p"), "test")


def test_a_run_of_perspectrum_needs_data_and_evaluation_alone(tmp_path: Path) -> None:
    from overton.data import stage as data
    from overton.evaluation import stage as evaluation
    from overton.jsonio import read_json
    from overton.recipe import parse_recipe
    from overton.rundir import RunDir
    from overton.testing import tiny_nli

    folder = REAL / "perspectrum"
    if not folder.is_dir():
        pytest.skip("PERSPECTRUM is not here")
    sizes = {"source": "perspectrum", "path": str(folder), "train": 20, "dev": 10, "test": 10}
    nli = str(tiny_nli(tmp_path / "nli"))
    recipe = parse_recipe({"name": "t", "data": sizes, "evaluation": {"nli_model": nli, "bootstrap": 100}})
    run = RunDir(tmp_path / "run")
    data.run(recipe, run)
    questions = read_situations(run.stage("data") / "test.jsonl")
    assert all({p.stance for p in s.perspectives} <= {"+", "-", None} for s in questions)
    rows = [{"id": s.id, "prompt": s.text, "answer": f"- {s.perspectives[0].explanation}"} for s in questions]
    write_jsonl(run.stage("generation") / "mine.jsonl", rows)
    evaluation.run(recipe, run)
    summary = read_json(run.stage("evaluation") / "summary.json")
    assert summary["systems"]["mine"]["coverage"]["n"] == len(questions) == 10


@pytest.mark.parametrize(("source", "folder"), [("perspectrum", "perspectrum"), ("argkp", "kpa2021")])
def test_the_real_sets(source: str, folder: str) -> None:
    if not (REAL / folder).is_dir():
        pytest.skip(f"{source} is not here")
    found = read_questions(source, REAL / folder)
    assert len(found) > 20
    assert all(len(s.perspectives) == len({p.cluster for p in s.perspectives}) >= 2 for s in found)
    assert {"+", "-"} <= {p.stance for s in found for p in s.perspectives}
