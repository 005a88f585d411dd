"""The stage: files in, files out, and what a killed run finds again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from overton.data.world.generate import make_world
from overton.errors import DataError, ModelError, RunError
from overton.evaluation import stage
from overton.evaluation.summary import COLUMNS, order_systems
from overton.jsonio import read_json, read_jsonl, write_jsonl, write_text
from overton.pipeline import run_stages
from overton.recipe import parse_recipe
from overton.rundir import RunDir, stage_files
from overton.segment import format_answer
from overton.types import Answer, Situation

SITUATIONS = make_world(5, 5, 12, seed=0).test


def recipe(nli_model: str | Path) -> Any:
    return parse_recipe({"name": "t", "evaluation": {"nli_model": str(nli_model), "bootstrap": 200}})


def fill(folder: Path, situations: tuple[Situation, ...] = SITUATIONS) -> RunDir:
    run = RunDir(folder)
    write_jsonl(run.stage("data") / "test.jsonl", [s.to_json() for s in situations])
    for system, keep in (("grpo", 5), ("sft", 3), ("sft-greedy", 0)):
        rows = []
        for s in situations:
            text = format_answer([*s.perspectives[:keep], *s.perspectives[:1]], "Many things matter.") if keep else ""
            tokens = None if system == "sft" else 50
            rows.append(Answer(s.id, s.text, text, system, tokens=tokens).to_json())
        write_jsonl(run.stage("generation") / f"{system}.jsonl", rows)
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return fill(tmp_path / "a run")


def test_summary(run: RunDir, tiny_cross_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage.run(recipe(tiny_cross_encoder), run)
    assert re.search(r"^evaluation: 3 systems, .{60,}\)$", capsys.readouterr().err, re.MULTILINE)  # on one line
    folder = run.stage("evaluation")
    summary = read_json(folder / "summary.json")
    assert list(summary["systems"]) == ["sft", "sft-greedy", "grpo"]
    for scores in summary["systems"].values():
        # These are left out where no answer says what it took; and neither a judge nor the published code is asked.
        here = {metric for metric, (evaluator, _) in COLUMNS.items() if evaluator not in ("judge", "published")}
        assert set(scores) == here - {"seconds", "calls", "cost"}
        assert all(s.keys() == {"mean", "low", "high", "n", "unscored"} for s in scores.values())
    mean = {m: s["mean"] for m, s in summary["systems"]["grpo"].items()}
    assert mean["oracle_coverage"] == pytest.approx(
        sum(min(5, len(s.perspectives)) / len(s.perspectives) for s in SITUATIONS) / len(SITUATIONS)
    )
    assert mean["oracle_uniqueness"] == pytest.approx(5 / 6)
    assert mean["valid_tags"] == 1.0
    assert mean["tokens"] == 50
    empty = summary["systems"]["sft-greedy"]
    assert (empty["oracle_coverage"]["mean"], empty["coverage"]["mean"], empty["nli_mean"]["mean"]) == (
        0,
        0,
        0,
    )
    assert empty["oracle_precision"] == {"mean": None, "low": None, "high": None, "n": 0, "unscored": 12}
    assert summary["unscored"]["sft-greedy"]["precision"] == {"the answer holds no sentence": 12}
    assert summary["unscored"]["sft"] == {"tokens": {"not known": 12}}
    compared = {(c["a"], c["b"]) for c in summary["comparisons"]}
    assert compared == {("grpo", "sft"), ("sft-greedy", "sft"), ("grpo", "sft-greedy")}
    (gain,) = [c for c in summary["comparisons"] if (c["a"], c["b"], c["metric"]) == ("grpo", "sft", "oracle_coverage")]
    assert gain["difference"] == pytest.approx(
        mean["oracle_coverage"] - summary["systems"]["sft"]["oracle_coverage"]["mean"]
    )
    assert gain["low"] > 0
    counts = {str(len(s.perspectives)) for s in SITUATIONS}
    assert set(summary["by_count"]["grpo"]) == counts
    assert sum(v["n"] for v in summary["by_count"]["grpo"].values()) == 12
    others = summary["metrics_by_count"]
    assert {"oracle_precision", "oracle_f1", "f1", "nli_mean"} <= set(others) and "oracle_coverage" not in others
    for name in ("nli_mean", "oracle_f1"):  # groups of one metric average to its mean
        groups = others[name]["grpo"]
        assert set(groups) == counts
        assert sum(v["mean"] * v["n"] for v in groups.values()) / 12 == pytest.approx(mean[name])
    total = sum(v["total"] for v in summary["per_value"]["grpo"].values())
    assert total == sum(len(s.perspectives) for s in SITUATIONS)
    assert summary["nli_threshold"] == 0.33
    row = read_jsonl(folder / "grpo.oracle.jsonl")[0]
    assert {s["verdict"] for s in row["segments"]} == {"matched", "repeated"}


def test_several_nli_models_and_the_published_figures(run: RunDir, tiny_cross_encoder: Path, vivid_nli: Path) -> None:
    from overton.evaluation.nli import load_nli, nli_rows
    from overton.evaluation.published import published_scores

    pytest.importorskip("sentence_splitter", reason="the published sentences need sentence-splitter")
    plain = recipe(tiny_cross_encoder)
    changes = {"nli_also": [str(vivid_nli)], "nli_published": True}
    several = plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update=changes)})
    stage.run(several, run)
    folder = run.stage("evaluation")
    summary = read_json(folder / "summary.json")
    assert [entry["model"] for entry in summary["nli"]] == [str(tiny_cross_encoder), str(vivid_nli)]
    by_id = {s.id: s for s in SITUATIONS}
    answers = [Answer(**row) for row in read_jsonl(run.stage("generation") / "grpo.jsonl")]
    expected = nli_rows(load_nli(vivid_nli), answers, by_id)
    own = summary["nli"][1]["systems"]["grpo"]["nli_mean"]
    assert own["mean"] == pytest.approx(sum(r["nli_mean"] for r in expected) / len(expected), abs=1e-6)
    assert summary["nli"][0]["systems"]["grpo"]["nli_mean"]["mean"] == summary["systems"]["grpo"]["nli_mean"]["mean"]
    references = [[p.explanation for p in by_id[a.id].perspectives] for a in answers]
    scores = published_scores(load_nli(tiny_cross_encoder), references, [a.answer for a in answers])
    assert summary["systems"]["grpo"]["published_nli"]["mean"] == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    # Without the second model its files go.
    assert (folder / "grpo.nli-2.jsonl").is_file() and (folder / "grpo.published.jsonl").is_file()
    stage.run(plain, run)
    assert not list(folder.glob("*.nli-2.jsonl")) and not list(folder.glob("*.published.jsonl"))


def test_rows_of_an_earlier_version_are_made_anew(run: RunDir, tiny_cross_encoder: Path) -> None:
    stage.run(recipe(tiny_cross_encoder), run)
    path = run.stage("evaluation") / "grpo.nli.jsonl"
    rows = read_jsonl(path)
    write_jsonl(path, [{k: v for k, v in row.items() if "reverse" not in k} for row in rows])
    stage.run(recipe(tiny_cross_encoder), run)
    assert read_jsonl(path) == rows


def test_a_second_run_takes_what_is_there_and_a_lost_file_comes_back_the_same(
    run: RunDir, tiny_cross_encoder: Path
) -> None:
    stage.run(recipe(tiny_cross_encoder), run)
    folder = run.stage("evaluation")
    summary = (folder / "summary.json").read_bytes()
    lost = folder / "grpo.nli.jsonl"
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("*.*.jsonl") if p != lost}
    before = lost.read_bytes()
    lost.unlink()
    (folder / "summary.json").unlink()
    (folder / "old.nli.jsonl").write_text("{}\n")
    stage.run(recipe(tiny_cross_encoder), run)
    assert lost.read_bytes() == before
    assert (folder / "summary.json").read_bytes() == summary
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert not (folder / "old.nli.jsonl").exists()


def test_a_file_of_other_answers_is_made_anew(run: RunDir, tiny_cross_encoder: Path) -> None:
    write_jsonl(run.stage("evaluation") / "grpo.form.jsonl", [{"id": "world-test-00000"}])
    stage.run(recipe(tiny_cross_encoder), run)
    assert len(read_jsonl(run.stage("evaluation") / "grpo.form.jsonl")) == 12


def test_other_sources_have_no_oracle_and_need_a_named_model(
    tmp_path: Path, tiny_cross_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tuple(Situation(s.id, s.text, s.perspectives) for s in SITUATIONS)
    run = fill(tmp_path / "run", bare)
    stage.run(recipe("world"), run)
    assert "name a CrossEncoder" in " ".join(capsys.readouterr().err.split())
    summary = read_json(run.stage("evaluation") / "summary.json")
    assert {COLUMNS[m][0] for m in summary["systems"]["sft"]} == {"form"}
    stage.run(recipe(tiny_cross_encoder), run)
    summary = read_json(run.stage("evaluation") / "summary.json")
    assert {COLUMNS[m][0] for m in summary["systems"]["sft"]} == {"form", "nli"}
    assert summary["settings"]["coverage_by"] == "nli"
    assert summary["per_value"]["sft"]


def test_bad_input_is_named(run: RunDir, tmp_path: Path, tiny_cross_encoder: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        stage.run(recipe(tmp_path / "nowhere"), run)
    path = run.stage("generation") / "sft.jsonl"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([rows[0], rows[1][:40]]))
    with pytest.raises(DataError, match=r"sft\.jsonl, line 2"):
        stage.run(recipe(tiny_cross_encoder), run)
    path.write_text(json.dumps({"id": "unknown", "prompt": "?", "answer": "x"}) + "\n")
    for read in (stage.run, stage.check):
        with pytest.raises(DataError, match=r"sft\.jsonl: answer 1 \(id 'unknown'\)"):
            read(recipe(tiny_cross_encoder), run)
    for p in run.stage("generation").iterdir():
        p.unlink()
    with pytest.raises(RunError, match="no answers"):
        stage.run(recipe(tiny_cross_encoder), run)


def test_answers_joined_to_another_text_are_said(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    plain = parse_recipe({"name": "t", "evaluation": {"bootstrap": 200}})
    bare = fill(run.path, tuple(Situation(s.id, s.text, s.perspectives) for s in SITUATIONS))
    path, summary = bare.stage("generation") / "sft.jsonl", bare.stage("evaluation") / "summary.json"
    stage.run(plain, bare)
    assert read_json(summary)["other_text"] == {}
    rows = read_jsonl(path)
    write_jsonl(path, [{**row, "prompt": "Who owns the sea?"} if i < 2 else row for i, row in enumerate(rows)])
    capsys.readouterr()
    stage.run(plain, bare)
    assert "evaluation: sft: 2 answers were joined by `id`" in " ".join(capsys.readouterr().err.split())
    found = read_json(summary)
    assert found["other_text"] == {"sft": 2} and not found["warnings"]
    # The ids of another order are no template.
    write_jsonl(path, [{**row, "id": rows[i - 1]["id"]} for i, row in enumerate(rows)])
    for read in (stage.run, stage.check):
        with pytest.raises(DataError, match=rf"sft\.jsonl: answer 1: the id '{rows[-1]['id']}'.*'{rows[0]['id']}'"):
            read(plain, bare)


def test_a_file_of_several_systems_and_a_compressed_one_are_refused(run: RunDir) -> None:
    plain, mine = recipe("world"), run.stage("generation") / "mine.jsonl"
    rows = [Answer(s.id, s.text, "Yes.", system).to_json() for system in ("one", "two") for s in SITUATIONS]
    write_jsonl(mine, rows)
    with pytest.raises(DataError, match=r"mine\.jsonl: rows of 2 systems \('one', 'two'\)"):
        stage.check(plain, run)
    write_jsonl(mine, rows[: len(SITUATIONS)])
    stage.check(plain, run)
    mine.unlink()
    write_jsonl(mine.with_name("mine.jsonl.gz"), rows[: len(SITUATIONS)])
    with pytest.raises(DataError, match=r"mine\.jsonl\.gz"):
        stage.check(plain, run)


def test_a_file_that_cannot_be_judged_costs_nothing_that_was(run: RunDir) -> None:
    plain = parse_recipe({"name": "t", "evaluation": {"bootstrap": 200}})
    run = fill(run.path, tuple(Situation(s.id, s.text, s.perspectives) for s in SITUATIONS))
    write_text(run.path / "recipe.yaml", "name: t\n")
    run_stages(plain, run, "evaluation", "evaluation")
    before = stage_files(run.stage("evaluation"))
    typo = run.stage("generation") / "typo.jsonl"
    write_jsonl(typo, [{"id": "unknown", "answer": "x"}])
    with pytest.raises(DataError, match=r"typo\.jsonl"):
        run_stages(plain, run, "evaluation", "evaluation")
    assert stage_files(run.stage("evaluation")) == before
    typo.unlink()
    run_stages(plain, run, "evaluation", "evaluation")
    assert stage_files(run.stage("evaluation")) == before


def test_a_mistyped_nli_model_costs_nothing_that_was(run: RunDir, tiny_cross_encoder: Path, tmp_path: Path) -> None:
    plain = recipe("world")
    write_text(run.path / "recipe.yaml", "name: t\n")
    run_stages(plain, run, "evaluation", "evaluation")
    before = stage_files(run.stage("evaluation"))
    shutil.copytree(tiny_cross_encoder, tmp_path / "two")
    config = read_json(tmp_path / "two" / "config.json")
    write_text(tmp_path / "two" / "config.json", json.dumps(config | {"id2label": {"0": "no", "1": "yes"}}))
    for name, wanted in ((tmp_path / "nowhere" / "model", "cannot be loaded"), (tmp_path / "two", "three classes")):
        also = parse_recipe({"name": "t", "evaluation": {"nli_also": [str(name)]}})
        for typed in (recipe(name), also):
            with pytest.raises(ModelError, match=wanted):
                run_stages(typed, run, "evaluation", "evaluation")
    assert stage_files(run.stage("evaluation")) == before


def test_systems_are_ordered_from_the_start_to_the_end() -> None:
    assert order_systems(["grpo-greedy", "control", "grpo", "sft-greedy", "sft"]) == [
        "sft",
        "sft-greedy",
        "control",
        "grpo",
        "grpo-greedy",
    ]
