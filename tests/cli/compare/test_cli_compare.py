"""What `overton compare` measures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_material import ANSWER, QUESTIONS, VIEWS, answer, strict, write_rows

from overton.commands.comparing import compare_files
from overton.commands.comparing_table import latex, markdown
from overton.commands.scoring import score_files
from overton.commands.scoring_pairs import Evaluators
from overton.errors import DataError
from overton.evaluation.statistics import compare, interval
from overton.report.compare import build_comparison
from overton.testing import tiny_nli

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def test_figures_by_hand(good: Path, poor: Path, refs: Path, encoder: Path) -> None:
    found = compare_files([poor, good], refs, strict(encoder))
    assert list(found["systems"]) == ["good", "poor"]  # best first
    assert found["ranked_by"] == "f1"
    assert found["systems"]["good"]["coverage"]["mean"] == 1.0
    assert found["systems"]["good"]["absolute_coverage"]["mean"] == 1.0
    assert found["systems"]["good"]["calls"]["mean"] == 2
    assert "calls" not in found["systems"]["poor"]
    # One of 2, of 3 and of 4 references.
    assert found["systems"]["poor"]["coverage"] == pytest.approx(interval([1 / 2, 1 / 3, 1 / 4]))
    assert found["systems"]["poor"]["absolute_coverage"]["mean"] == 0.0
    assert found["coverage_at_k"]["good"]["1"]["mean"] == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 4, 1 / 2]))
    assert found["coverage_at_k"]["good"]["10"]["mean"] == 1.0
    assert found["answers"]["poor"] == {"answers": 3, "with_references": 3, "shared_by_all": 3}
    (row,) = [r for r in found["comparisons"] if r["metric"] == "coverage"]
    assert (row["a"], row["b"], row["n"]) == ("good", "poor", 3)
    own = {f"q{i}": 1 / (2 + i) for i in range(3)}
    assert {k: row[k] for k in ("difference", "cohens_dz", "cliffs_delta", "p_value")} == pytest.approx(
        {k: v for k, v in compare(dict.fromkeys(own, 1.0), own).items() if k in row and k in
         ("difference", "cohens_dz", "cliffs_delta", "p_value")}
    )  # fmt: skip
    assert list(found["splits"]) == ["references"]
    assert list(found["splits"]["references"]) == ["2p", "3p", "4p"]
    assert found["splits"]["references"]["2p"]["good"]["coverage"]["n"] == 2
    faults = found["faults"]["poor"]
    assert {f: row["answers"] for f, row in faults.items()} == {
        "think": 3, "label_prefix": 3, "number_only": 3, "cut_end": 3,
    }  # fmt: skip
    assert any("poor 3" in note for note in found["notes"])
    assert found["warnings"] == []
    assert any("over 3 questions only" in note for note in found["notes"])


def test_one_file_gives_what_overton_score_gives(good: Path, refs: Path, encoder: Path) -> None:
    found = compare_files([good], refs, strict(encoder))
    score = score_files(good, refs, estimator=str(encoder), threshold=0.9999)
    for metric, value in score.systems[""].items():
        assert found["systems"]["good"][metric] == pytest.approx(value), metric
    assert found["comparisons"] == []


def test_shared_takes_the_questions_that_every_system_answered(
    overton: Call, good: Path, poor: Path, refs: Path, encoder: Path, tmp_path: Path
) -> None:
    found = compare_files([poor, good], refs, strict(encoder), shared=True)
    assert {own["answers"] for own in found["answers"].values()} == {3}
    assert {own["coverage"]["n"] for own in found["systems"].values()} == {3}
    # The first of 2, of 3 and of 4 references; the fourth question has 2.
    assert found["coverage_at_k"]["good"]["1"]["mean"] == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 4]))
    assert found["faults"]["poor"]["think"]["of"] == 3
    assert any("alone: 6 of 7 answers" in note for note in found["notes"])
    assert not any("not every system" in note for note in found["notes"])
    other = write_rows(tmp_path / "other.jsonl", [{"prompt": QUESTIONS[3], "answer": answer(VIEWS[:1])}])
    more = ("--references", refs, "--estimator", encoder, "--format", "json", "--shared")
    code, _, err = overton("compare", poor, good, other, *more)
    assert code == 1 and "no question was answered by all of poor 3, good 4, other 1; without other 3 would be" in err
    code, out, _ = overton("compare", poor, good, other, *more, "--system", "good", "--system", "other")
    assert code == 0 and {n: own["answers"] for n, own in json.loads(out)["answers"].items()} == {"good": 1, "other": 1}
    code, _, err = overton("compare", poor, good, *more, "--system", "best")
    assert code == 1 and "no system 'best' in these files; they have poor, good" in err


def test_without_references_form_and_diversity_are_compared(
    overton: Call, good: Path, poor: Path, encoder: Path
) -> None:
    code, out, _ = overton("compare", good, poor, "--estimator", encoder, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert found["ranked_by"] == "vendi"
    assert "coverage" not in found["systems"]["good"]
    assert found["systems"]["poor"]["vendi"]["n"] == 3


def test_entailment_when_asked(good: Path, poor: Path, refs: Path, encoder: Path, tmp_path: Path) -> None:
    asked = Evaluators(estimator=str(encoder), nli_model=str(tiny_nli(tmp_path / "nli")))
    found = compare_files([good, poor], refs, asked)
    assert found["ranked_by"] == "nli_f1"
    assert found["systems"]["poor"]["nli_mean"]["n"] == 3


def test_means_over_fewer_answers_are_said(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path, good: Path
) -> None:
    rows = [{"id": f"q{i}", "answer": "" if i else answer(VIEWS[:1])} for i in range(3)]
    path = write_rows(tmp_path / "half.jsonl", [*rows, {"id": "stranger", "answer": "x"}])
    _, out, _ = overton("compare", good, path, "--references", refs, "--estimator", encoder)
    (line,) = [line for line in out.splitlines() if line.startswith("note: half:")]
    assert "precision, uniqueness" in line
    assert "over 1 of 3 answers" in line
    assert "no perspective stated" in line
    assert "half: precision" in Path("comparison/table.md").read_text()
    assert "note: good:" not in out


def test_published_figures_when_asked(good: Path, poor: Path, refs: Path, encoder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_splitter", reason="the published evaluation cuts sentences with it")
    asked = Evaluators(estimator=str(encoder), nli_model=str(tiny_nli(tmp_path / "nli")), published=True)
    found = compare_files([good, poor], refs, asked)
    assert found["systems"]["poor"]["published_nli"]["n"] == 3
    for text in (markdown(found), latex(found), build_comparison(found)):
        assert "Mean entailment, as published" in text and "Accuracy, as published" in text
    with pytest.raises(DataError, match="--nli-model"):
        compare_files([good, poor], refs, Evaluators(estimator=str(encoder), published=True))


def test_a_runs_own_reward_model_is_no_judge_of_its_answers(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path
) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(encoder, run / "estimator" / "model")
    (run / "recipe.yaml").write_text("name: run\n")
    (run / "generation").mkdir()
    path = write_rows(run / "generation" / "grpo.jsonl", [{"id": f"q{i}", "answer": ANSWER} for i in range(3)])
    code, out, _ = overton("compare", path, "--references", refs, "--estimator", run)
    assert code == 0
    assert "NOT INDEPENDENT: The reward estimator and the evaluation encoder are one model (same weights" in out
    assert 'class="alarm"' in Path("comparison/index.html").read_text()
    overton("compare", shutil.copy(path, tmp_path / "elsewhere.jsonl"), "--references", refs, "--estimator", run)
    assert 'class="alarm"' not in Path("comparison/index.html").read_text()
    # The recipe of another version: what the files tell is still known, and the rest is a note.
    (run / "recipe.yaml").write_text("name: run\nno_such_key: 1\n")
    code, out, _ = overton("compare", path, "--references", refs, "--estimator", run)
    assert code == 0
    assert "NOT INDEPENDENT: The reward estimator and the evaluation encoder are one model (same weights" in out
    assert "note: run/recipe.yaml cannot be read by this version (no_such_key: unknown key" in out
