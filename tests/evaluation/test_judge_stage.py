"""Judges in the evaluation stage: files, summary, a second run, and what makes the stage run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judge_material import ASPECTS, chooser, grader
from llm_server import Answer as Served
from llm_server import serving

from overton.errors import RecipeError, RunError
from overton.evaluation import stage
from overton.jsonio import read_json, read_jsonl, write_jsonl, write_text
from overton.pipeline import run_stages
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.sections_evaluation import EvaluationSection
from overton.types import Answer, Perspective, Situation

VIEWS = (Perspective("Truth", "Lies hurt."), Perspective("Care", "Some lies are kind."))
SITUATIONS = [Situation(f"q{i}", f"Question {i}?", VIEWS) for i in range(3)]


def recipe(url: str, *names: str, **judge: Any) -> Any:
    models = {name: {"model": name, "base_url": url, "api_key_env": "", "retries": 0} for name in names}
    return parse_recipe({"name": "t", "evaluation": {"bootstrap": 200, "judge": {"models": models, **judge}}})


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    write_jsonl(run.stage("data") / "test.jsonl", [s.to_json() for s in SITUATIONS])
    for system, words in (("sft", 1), ("grpo", 3)):
        rows = [Answer(s.id, s.text, " ".join(["word"] * words), "called otherwise").to_json() for s in SITUATIONS]
        write_jsonl(run.stage("generation") / f"{system}.jsonl", rows)
    return run


def reply(body: dict[str, Any]) -> dict[str, Any]:
    if "answer-1" in body["messages"][-1]["content"]:
        return chooser(lambda first, second: "1" if len(first) > len(second) else "2")(body)
    return grader(lambda text: len(text.split()))(body)


def test_rows_transcripts_and_summary(run: RunDir) -> None:
    with serving(Served(reply)) as endpoint:
        stage.run(recipe(endpoint.url, "one", "two", pairwise=True), run)
        assert len(endpoint.bodies) == 2 * (2 * 3 + 2 * 3)
        folder = run.stage("evaluation")
        summary = (folder / "summary.json").read_bytes()
        (folder / "grpo.judge.jsonl").unlink()
        stage.run(recipe(endpoint.url, "one", "two", pairwise=True), run)
        assert len(endpoint.bodies) == 24  # every reply lay in the cache
    assert (folder / "summary.json").read_bytes() == summary
    found = read_json(folder / "summary.json")
    assert {name: found["systems"][name]["depth"]["mean"] for name in ("sft", "grpo")} == {"sft": 1, "grpo": 3}
    assert found["judge"]["agreement"]["depth"] == {"alpha": 1.0, "units": 6}
    assert found["judge"]["agreement"]["winner"] == {"alpha": None, "units": 3}  # grpo wins all: nothing to tell from
    (pair,) = found["judge"]["pairwise"]
    assert (pair["a"], pair["b"], pair["win_rate"]["mean"], pair["flips"]) == ("grpo", "sft", 1, 0)
    assert found["settings"]["judges"] == {"one": "one", "two": "two"}
    compared = [c for c in found["comparisons"] if c["metric"] == "judge_mean"]
    assert [(c["a"], c["b"], c["difference"]) for c in compared] == [("grpo", "sft", 2)]
    rows = read_jsonl(folder / "grpo.judge.jsonl")
    assert [(row["id"], row["system"], row["depth"]) for row in rows] == [(s.id, "grpo", 3) for s in SITUATIONS]
    assert set(rows[0]["judges"]["two"]) == {*ASPECTS, "reason"}
    assert len(read_jsonl(folder / "judge" / "sft.jsonl")) == 6
    assert len(read_jsonl(folder / "judge" / "grpo-vs-sft.jsonl")) == 12
    assert len(read_jsonl(folder / "judge" / "grpo-vs-sft.rows.jsonl")) == 3
    assert len(read_jsonl(run.path / "llm" / "replies.jsonl")) == 24


def test_what_is_unscored_is_counted_with_its_reason(run: RunDir) -> None:
    with serving(Served("no", 500)) as endpoint, pytest.raises(RunError, match="6 verdicts are missing"):
        stage.run(recipe(endpoint.url, "one"), run)
    found = read_json(run.stage("evaluation") / "summary.json")
    assert found["systems"]["sft"]["depth"]["mean"] is None
    (reason,) = found["unscored"]["sft"]["depth"]
    assert reason.startswith("one: HTTP 500")
    assert found["judge"] == {"agreement": {}, "pairwise": []}


def test_calls_that_failed_leave_the_stage_undone_and_are_made_by_the_next_one(run: RunDir) -> None:
    with serving(Served(reply), Served("no", 500), Served(reply)) as endpoint:
        settings = recipe(endpoint.url, "one", pairwise=True)
        write_text(run.path / "recipe.yaml", "name: t\n")
        with pytest.raises(RunError, match="1 verdicts are missing"):
            run_stages(settings, run, "evaluation", "evaluation")
        asked = len(endpoint.bodies)
        found = read_json(run.stage("evaluation") / "summary.json")
        scored = {name: scores["depth"]["n"] for name, scores in found["systems"].items()}
        assert sorted(scores for scores in scored.values()) == [2, 3]
        kept = (run.stage("evaluation") / "sft.form.jsonl").stat().st_mtime_ns
        run_stages(settings, run, "evaluation", "evaluation")
        assert len(endpoint.bodies) == asked + 1 == 13
        run_stages(settings, run, "evaluation", "evaluation")
        assert len(endpoint.bodies) == 13
    found = read_json(run.stage("evaluation") / "summary.json")
    assert all(scores["depth"]["n"] == 3 for scores in found["systems"].values())
    assert (run.stage("evaluation") / "sft.form.jsonl").stat().st_mtime_ns == kept


def test_no_judge_is_no_call_and_no_file(run: RunDir) -> None:
    stage.run(recipe("http://127.0.0.1:9/v1"), run)
    assert "judge" not in read_json(run.stage("evaluation") / "summary.json")
    assert not (run.path / "llm").exists()


def test_what_makes_the_stage_run_again() -> None:
    base = EvaluationSection().deciding()
    assert "judge" not in base
    assert recipe("").evaluation.deciding() == base | {"bootstrap": 200}
    one = recipe("http://localhost:1/v1", "m").evaluation.deciding()
    assert recipe("http://localhost:2/v1", "m").evaluation.deciding() == one
    assert recipe("http://localhost:1/v1", "n").evaluation.deciding() != one
    capped = {"m": {"model": "m", "base_url": "http://localhost:1/v1", "api_key_env": "", "max_calls": 3}}
    assert recipe("", models=capped).evaluation.deciding() == one
    assert recipe("http://localhost:1/v1", "m", pairwise=True).evaluation.deciding() != one
    default = parse_recipe({"name": "t", "evaluation": {"judge": {"models": {"x": {}}}}}).evaluation.judge.models["x"]
    assert (default.model, default.base_url, default.api_key_env) == (
        "gpt-4.1",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
    )


def test_an_address_of_another_machine_without_https_is_refused() -> None:
    with pytest.raises(RecipeError, match="another machine"):
        recipe("http://example.org/v1", "m")
