"""Stage ``training``: two parts, each done once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import overton.estimator
import overton.training.grpo
import overton.training.sft
from overton.errors import RecipeError
from overton.recipe import Recipe, parse_recipe
from overton.rundir import RunDir, write_jsonl
from overton.training.stage import run
from overton.types import Perspective, Situation


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Trainings that only note what they were called with and leave a checkpoint and a model."""
    found: list[tuple[Any, ...]] = []

    def train_sft(recipe: Any, file: Path, folder: Path, asked: list[str]) -> None:
        assert asked == ["May she?"]  # what OP-GRPO asks
        found.append(("sft", file))
        _leave(folder)

    def train_grpo(recipe: Any, situations: list[Situation], start: Path, estimator: Any, folder: Path) -> None:
        found.append(("grpo", [s.id for s in situations], start, estimator))
        if recipe.seed == 13:
            (folder / "checkpoints").mkdir(parents=True)
            raise KeyboardInterrupt
        _leave(folder)

    monkeypatch.setattr(overton.training.sft, "train_sft", train_sft)
    monkeypatch.setattr(overton.training.grpo, "train_grpo", train_grpo)
    loader = SimpleNamespace(load=lambda path, data_set: f"{path.name} for {data_set or 'all'}")
    monkeypatch.setattr(overton.estimator, "SimilarityEstimator", loader, raising=False)
    return found


def _leave(folder: Path) -> None:
    for name in ("model", "checkpoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "weights").write_text("w")


def recipe(**sections: Any) -> Recipe:
    one = {"grpo": {"prompts_per_step": 1}}  # there is no more than one situation
    return parse_recipe({"name": "x", "training": one, **sections})


def test_sft_then_grpo_each_done_once(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    situation = Situation("s1", "May she?", (Perspective("Care", "it hurts"),))
    write_jsonl(tmp_path / "data" / "train.jsonl", [situation.to_json()])
    folder = tmp_path / "training"
    with pytest.raises(KeyboardInterrupt):
        run(recipe(seed=13), RunDir(tmp_path))
    assert [call[0] for call in calls] == ["sft", "grpo"]
    assert not (folder / "sft" / "checkpoints").exists() and (folder / "sft" / "model").is_dir()
    assert (folder / "grpo" / "checkpoints").is_dir()  # to go on from

    run(recipe(), RunDir(tmp_path))
    assert [call[0] for call in calls] == ["sft", "grpo", "grpo"]
    assert calls[0] == ("sft", tmp_path / "data" / "sft.jsonl")
    assert calls[2][1:] == (["s1"], folder / "sft" / "model", "estimator for all")
    assert not (folder / "grpo" / "checkpoints").exists()

    run(recipe(), RunDir(tmp_path))
    assert len(calls) == 3

    (folder / "grpo" / "done").unlink()
    run(recipe(reward={"data_set": "argkp"}), RunDir(tmp_path))
    assert calls[3][3] == "estimator for argkp"


def test_fewer_situations_than_a_step_asks_stop_it_before_sft(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    situation = Situation("s1", "May she?", (Perspective("Care", "it hurts"),))
    write_jsonl(tmp_path / "data" / "train.jsonl", [situation.to_json()])
    with pytest.raises(RecipeError, match=r"prompts_per_step: 2, but there are only 1 situations"):
        run(recipe(training={"grpo": {"prompts_per_step": 2}}), RunDir(tmp_path))
    assert calls == []
