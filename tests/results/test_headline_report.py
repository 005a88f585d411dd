"""The results file, its tables and the pages written from it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import pytest

from headline.measure import COLUMNS
from headline.report import collect, figure, goals, markdown, short_table, table, write_page
from headline.systems import SYSTEMS
from overton.jsonio import read_json, sha256, write_json
from overton.rundir import RunDir
from overton.testing import tiny_policy
from pages import filled
from small_beats_big import write_report

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "small_beats_big.json"


def finish(home: Path, system: str, **columns: list[float | None]) -> None:
    """A measured system; what is not said is 1 for every situation."""
    count = len(next(iter(columns.values())))
    rest = dict.fromkeys((*COLUMNS, "written", "seconds"), [1.0] * count)
    answers, policies = RunDir(home / "answers"), RunDir(home / "policies")
    models = {}
    for policy in SYSTEMS[system].policies:
        policies.begin(policy, {})
        tiny_policy(policies.stage(policy) / "model")
        policies.finish(policy, 10, 8)
        models[policy] = sha256(policies.stage(policy) / "model")
    answers.begin(system, {"models": models})
    write_json(answers.stage(system) / "values.json", {**rest, **columns})
    answers.finish(system, 1, 1)


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    for seed in (0, 1):
        home = tmp_path / f"seed-{seed}"
        finish(home, "op-grpo", coverage=[0.8, 0.6], f1=[0.8, 0.8], nli_accuracy=[1, 1], nli_mean=[0.9, 0.7])
        finish(home, "big", coverage=[0.5, 0.5], f1=[0.8, 0.8], nli_accuracy=[1, seed], nli_mean=[0.4, 0.4])
    finish(tmp_path / "seed-0", "darling", f1=[0.9, 0.9, 0.9], set_f1=[0.2, 0.4, 0.3], precision=[None, 0.5, 0.5])
    finish(tmp_path / "seed-0", "greedy-matching", f1=[0.7, 0.7])
    (tmp_path / "seed-0" / "answers" / "sft").mkdir()  # a system that is not finished
    found = collect(tmp_path)
    return {"command": "python x", "date": "2026-01-02", "versions": {}, **found}


def test_means_are_over_all_situations_and_seeds_and_pairs_over_common_ones(report: dict[str, Any]) -> None:
    assert report["seeds"] == [0, 1] and set(report["systems"]) == {"op-grpo", "big", "darling", "greedy-matching"}
    big = report["systems"]["big"]
    assert big["figures"]["nli_accuracy"]["mean"] == 0.75
    assert big["figures"]["nli_accuracy"]["by_seed"] == {0: 0.5, 1: 1.0}
    assert (big["seeds"], big["training_cpu_seconds"]) == ([0, 1], pytest.approx(0, abs=8))
    assert report["systems"]["darling"]["figures"]["precision"]["unscored"] == 1
    rows = {(row["b"], row["metric"]): row for row in report["comparisons"]}
    assert rows["big", "coverage"]["relative"] == pytest.approx(0.4) and rows["big", "coverage"]["n"] == 4
    assert rows["darling", "f1"]["seeds"] == [0] and rows["darling", "f1"]["difference"] == pytest.approx(-0.1)
    assert all(row["p_holm"] >= row["p_value"] for row in report["comparisons"])


def test_answers_of_a_policy_that_is_trained_anew_do_not_count(report: dict[str, Any], tmp_path: Path) -> None:
    RunDir(tmp_path / "seed-1" / "policies").begin("big", {"anew": True})  # by another process, say
    weights = tmp_path / "seed-0" / "policies" / "darling" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    found = collect(tmp_path)["systems"]
    assert "darling" not in found and found["big"]["seeds"] == [0] and found["op-grpo"]["seeds"] == [0, 1]


def test_time_is_told_for_the_headline_and_with_the_ablations(tmp_path: Path) -> None:
    for seed, name in ((0, "op-grpo"), (1, "op-grpo"), (0, "untuned")):
        finish(tmp_path / f"seed-{seed}", name, f1=[1.0])
    prepared = RunDir(tmp_path / "seed-1")
    for stage in ("data", "estimator"):
        prepared.begin(stage, {})
        prepared.finish(stage, 300, 70)
    other = RunDir(tmp_path / "seed-0" / "unmasked")
    other.begin("estimator", {})
    other.finish("estimator", 1, 5)
    other.path.joinpath("data").symlink_to(tmp_path / "seed-1" / "data")
    RunDir(tmp_path / "seed-1" / "policies").begin("big", {})  # still in training
    took = collect(tmp_path)["took"]
    policies, answers = "policies", "answers and their evaluation"
    assert took["main"]["cpu_seconds"] == {"data": 70, "estimators": 70, policies: 16, answers: 2}
    assert took["all"]["cpu_seconds"] == {"data": 70, "estimators": 70, policies: 24, answers: 3}
    assert 5 <= took["main"]["minutes"] <= took["all"]["minutes"] < 6


def test_accuracy_that_leaves_no_room_gives_way_to_mean_and_coverage(report: dict[str, Any]) -> None:
    found = {(g["system"], g["metric"]): (g["saturated"], g["reached"]) for g in report["goals"]}
    # .75 times 1.374 is more than any accuracy; coverage .7 over .5 is +40%, the mean .8 over .4 +100%.
    assert found == {
        ("big", "nli_mean"): (True, True),
        ("big", "coverage"): (True, True),
        ("darling", "f1"): (False, False),
        ("darling", "set_f1"): (False, True),
    }
    text = "\n".join(goals(report))
    assert "+40.0%" in text and "**missed**" in text and "no room for that gain over: big" in text


def test_tables_name_every_system_of_their_part(report: dict[str, Any]) -> None:
    assert [line.split(" | ")[0] for line in table(report)[2:]] == [
        f"| {SYSTEMS[name].title}" for name in ("op-grpo", "big", "darling")
    ]
    ablations = table(report, "ablation")[2:]
    assert [line.split(" | ")[0] for line in ablations] == ["| OP-GRPO", "| greedy matching"]
    assert ablations[1].endswith("| -0.100 (-0.100 to -0.100) |")
    assert [line.split(" | ")[1] for line in short_table(report)[2:]] == ["0.700", "0.500", "1.000"]
    assert all(line in markdown(report) for line in goals(report))
    for theme in ("light", "dark"):
        drawn = figure(report, theme)  # type: ignore[arg-type]
        assert drawn.startswith("<svg") and "OP-GRPO" in drawn and "greedy" not in drawn


def test_the_pages_are_filled_between_their_markers(report: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "docs" / "figures").mkdir(parents=True)
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (tmp_path / "docs" / "results.md").write_text(page, encoding="utf-8")
    (tmp_path / "README.md").write_text("a <!-- headline:begin --><!-- headline:end --> b", encoding="utf-8")
    write_page(report, tmp_path)
    text = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert "Seed 0, 1: OP-GRPO" in text and "2026-01-02" in text
    assert "| OP-GRPO | 0.700 |" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "figures" / "headline-dark.svg").is_file()
    write_page(report, tmp_path)
    assert (tmp_path / "docs" / "results.md").read_text(encoding="utf-8") == text


def test_a_run_without_a_finished_system_leaves_the_file_of_before(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("of before")
    recipe = ROOT / "recipes" / "small-beats-big.yaml"
    options = argparse.Namespace(runs=tmp_path / "runs", out=out, recipe=recipe, overrides=[], command="python x")
    write_report(options)
    assert out.read_text() == "of before"
    finish(tmp_path / "runs" / "seed-0", "op-grpo", f1=[1.0])
    write_report(options)
    assert [*read_json(out)["systems"]] == ["op-grpo"] and read_json(out)["recipe"]["name"] == "small-beats-big"


def test_filled_needs_the_markers_and_keeps_the_rest() -> None:
    assert filled("a <!-- x:begin -->old<!-- x:end --> b", "x", ["1", "2"]) == (
        "a <!-- x:begin -->\n1\n2\n<!-- x:end --> b"
    )
    with pytest.raises(ValueError):
        filled("a", "x", [])


def test_the_pages_hold_what_was_measured(tmp_path: Path) -> None:
    measured = read_json(RESULTS)
    pages = [Path("docs") / "results.md", Path("README.md")]
    (tmp_path / "docs" / "figures").mkdir(parents=True)
    for page in pages:
        shutil.copy(ROOT / page, tmp_path / page)
    write_page(measured, tmp_path)
    for page in pages:
        assert (tmp_path / page).read_bytes() == (ROOT / page).read_bytes(), (
            "python benchmarks/small_beats_big.py --page"
        )
