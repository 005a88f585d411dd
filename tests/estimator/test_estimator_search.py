"""The search trains for real, keeps its trials, and says what to set."""

from __future__ import annotations

from pathlib import Path

import pytest
from estimator_tiny import make_pairs

from overton.estimator.search import search
from overton.jsonio import read_json, write_jsonl
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.sections import EstimatorSection

pytest.importorskip("optuna", reason="the search needs Optuna: pip install 'overton[search]'")


def test_trials_are_kept_and_the_best_is_told(tiny_base: Path, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    write_jsonl(run.path / "data" / "pairs.train.jsonl", make_pairs(40, 0))
    write_jsonl(run.path / "data" / "pairs.dev.jsonl", make_pairs(40, 1))
    settings = {"base": str(tiny_base), "batch_size": 8, "train_on": "pairs", "bf16": False}
    recipe = parse_recipe({"name": "r", "estimator": settings})
    first = search(recipe, run, trials=2)
    own = {name: getattr(recipe.estimator, name) for name in first["best"]}
    assert [t["settings"] == own for t in first["trials"]] == [True, False]
    again = search(recipe, run, trials=3)
    assert again["trials"][:2] == first["trials"] and len(again["trials"]) == 3
    assert again["trials"][2]["settings"] not in [t["settings"] for t in first["trials"]]
    assert again["average_precision"] == max(t["average_precision"] for t in again["trials"]) > 0.4
    assert read_json(run.path / "search" / "search.json") == again
    EstimatorSection.model_validate(settings | again["best"])
    # Other data is another study.
    write_jsonl(run.path / "data" / "pairs.dev.jsonl", make_pairs(40, 2))
    assert len(search(recipe, run, trials=1)["trials"]) == 1


@pytest.mark.parametrize("changes", [{"learning_rate": 3e-3, "epochs": 0.5, "scale": 4}, {"epochs": 8, "scale": 100}])
def test_the_recipes_own_settings_are_tried_whatever_they_are(
    tiny_base: Path, tmp_path: Path, changes: dict[str, float]
) -> None:
    run = RunDir(tmp_path)
    write_jsonl(run.path / "data" / "pairs.train.jsonl", make_pairs(40, 0))
    write_jsonl(run.path / "data" / "pairs.dev.jsonl", make_pairs(40, 1))
    settings = {
        "base": str(tiny_base),
        "batch_size": 8,
        "train_on": "pairs",
        "loss": "cosent",
        "bf16": False,
        **changes,
    }
    recipe = parse_recipe({"name": "r", "estimator": settings})
    [only] = search(recipe, run, trials=1)["trials"]
    assert only["settings"] == {name: getattr(recipe.estimator, name) for name in only["settings"]}
