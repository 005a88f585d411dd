"""Stage ``training``, its trainings noted instead of done: which of its two parts is made when."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage_material import recipe_with

import overton.estimator
import overton.training.grpo
import overton.training.sft
from overton.errors import RecipeError, RunError
from overton.integrations.remote import RemoteReward
from overton.jsonio import write_jsonl
from overton.rewards import load_reward
from overton.rundir import RunDir
from overton.training import parts
from overton.training.stage import run
from overton.types import Perspective, Situation

pytestmark = pytest.mark.slow


def inputs(folder: Path) -> RunDir:
    """A run with what the stage reads."""
    situation = Situation("s1", "May she?", (Perspective("Care", "it hurts"),))
    write_jsonl(folder / "data" / "train.jsonl", [situation.to_json()])
    write_jsonl(folder / "data" / "sft.jsonl", [{"id": "s1", "prompt": "May she?", "completion": "Yes."}])
    for name in ("model/weights", "calibration.json"):
        (folder / "estimator" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "estimator" / name).write_text("{}")
    return RunDir(folder)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Trainings that only note what they were called with and leave a checkpoint and a model."""
    found: list[tuple[Any, ...]] = []

    def train_sft(recipe: Any, file: Path, folder: Path, asked: list[str]) -> None:
        assert asked[0] == "May she?"  # what OP-GRPO asks
        found.append(("sft", file))
        _leave(folder)
        if recipe.training.sft.packing == 13:
            shutil.rmtree(folder / "model")
            raise KeyboardInterrupt

    def train_grpo(
        recipe: Any, situations: list[Situation], start: Path, estimator: Any, folder: Path, background: Any
    ) -> None:
        found.append(("grpo", [s.id for s in situations], start, estimator))
        assert [s.id for s in background] == ["s1", "s2"] * bool(recipe.reward.background)
        _leave(folder)
        if recipe.training.grpo.steps == 13:
            shutil.rmtree(folder / "model")
            raise KeyboardInterrupt

    monkeypatch.setattr(overton.training.sft, "train_sft", train_sft)
    monkeypatch.setattr(overton.training.grpo, "train_grpo", train_grpo)
    loader = SimpleNamespace(load=lambda path, data_set: f"{path.name} for {data_set or 'all'}")
    monkeypatch.setattr(overton.estimator, "SimilarityEstimator", loader, raising=False)
    return found


def _leave(folder: Path) -> None:
    for name in ("model", "checkpoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "weights").write_text("w")


def test_sft_then_grpo_each_done_once(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    place, folder = inputs(tmp_path), tmp_path / "training"
    with pytest.raises(KeyboardInterrupt):
        run(recipe_with("training.grpo.steps=13"), place)
    assert [call[0] for call in calls] == ["sft", "grpo"]
    assert calls[0] == ("sft", tmp_path / "data" / "sft.jsonl")
    assert not (folder / "sft" / "checkpoints").exists() and (folder / "sft" / "model" / "README.md").is_file()
    assert (folder / "grpo" / "checkpoints").is_dir()  # to go on from

    run(recipe_with("training.grpo.steps=12"), place)
    assert [call[0] for call in calls] == ["sft", "grpo", "grpo"]
    assert calls[2][1:] == (["s1"], folder / "sft" / "model", "estimator for all")
    assert not (folder / "grpo" / "checkpoints").exists()

    run(recipe_with("training.grpo.steps=12"), place)
    assert len(calls) == 3

    run(recipe_with("training.grpo.steps=12", "reward.data_set=argkp"), place)
    assert calls[3][3] == "estimator for argkp" and len(calls) == 4

    behind = recipe_with("training.grpo.steps=12", "reward.background=20", "training.sft.epochs=2")
    with pytest.raises(RecipeError, match=r"reward\.background: .* found 1 of 1 situations"):
        run(behind, place)
    assert len(calls) == 4  # told before SFT, which would be made again
    views = tuple(Perspective("Care", f"it hurts {i}") for i in range(10))
    rows = [Situation(f"s{i}", f"May {who}?", views).to_json() for i, who in ((1, "she"), (2, "he"))]
    write_jsonl(tmp_path / "data" / "train.jsonl", rows)
    run(behind, place)
    assert [call[0] for call in calls[4:]] == ["sft", "grpo"]


def test_fewer_situations_than_a_step_asks_stop_it_before_sft(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    with pytest.raises(RecipeError, match=r"prompts_per_step: 2, but there are only 1 situations"):
        run(recipe_with("training.grpo.prompts_per_step=2"), inputs(tmp_path))
    assert calls == []


@pytest.mark.parametrize("part", ["sft", "grpo"])
def test_an_unfinished_part_goes_on_unless_its_own_settings_change(
    tmp_path: Path, calls: list[tuple[Any, ...]], part: str
) -> None:
    place, checkpoints = inputs(tmp_path), tmp_path / "training" / part / "checkpoints"
    dies = {"sft": "training.sft.packing=13", "grpo": "training.grpo.steps=13"}[part]
    free = ["training.grpo.micro_batch_size=2", "training.sft.save_steps=3", "training.gradient_checkpointing=true"]
    other = {"sft": "reward.preset=op-grpo", "grpo": "data.pairs=12"}[part]
    own = {"sft": "policy.layers=2", "grpo": "reward.preset=op-grpo"}[part]
    seen = []
    for changes in ([], [*free, other], [own]):
        with pytest.raises(KeyboardInterrupt):
            run(recipe_with(dies, *changes), place)
        seen.append(sorted(path.name for path in checkpoints.iterdir()))
        (checkpoints / "checkpoint-9").mkdir(exist_ok=True)
    assert seen == [["weights"], ["checkpoint-9", "weights"], ["weights"]]


@pytest.mark.parametrize("part", ["sft", "grpo"])
def test_a_part_on_another_disk_is_made_again_too(tmp_path: Path, calls: list[Any], part: str) -> None:
    place, folder = inputs(tmp_path), tmp_path / "training" / part
    run(recipe_with(), place)
    folder.rename(tmp_path / "other disk")
    folder.symlink_to(tmp_path / "other disk")
    run(recipe_with(), place)
    assert len(calls) == 2
    run(recipe_with({"sft": "training.sft.packing=12", "grpo": "training.grpo.steps=12"}[part]), place)
    assert [call[0] for call in calls[2:]] == [part]
    assert folder.is_symlink() and (tmp_path / "other disk" / "done").exists()


def test_what_is_made_again_is_moved_aside_with_a_word(
    tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(parts, "say", said.append)
    place = inputs(tmp_path)
    run(recipe_with(), place)
    (tmp_path / "training" / "grpo" / "model" / "weights").write_text("first")
    run(recipe_with("training.grpo.steps=12", "reward.preset=op-grpo"), place)
    assert (tmp_path / "grpo.old-1" / "model" / "weights").read_text() == "first"
    assert (tmp_path / "grpo.old-1" / "done").exists() and not (tmp_path / "sft.old-1").exists()
    [line] = [text for text in said if "made again" in text]
    assert "(changed: training.grpo.steps, reward.preset)" in line and line.endswith(str(tmp_path / "grpo.old-1"))
    with pytest.raises(KeyboardInterrupt):
        run(recipe_with("training.grpo.steps=13"), place)
    run(recipe_with("training.grpo.steps=12"), place)  # the unfinished one had a checkpoint
    assert sorted(path.name for path in tmp_path.glob("*.old-*")) == ["grpo.old-1", "grpo.old-2", "grpo.old-3"]
    assert (tmp_path / "grpo.old-3" / "checkpoints" / "weights").exists()
    (tmp_path / "training" / "grpo" / "done").unlink()
    (tmp_path / "training" / "grpo" / "nonfinite_step_0001.jsonl").write_text("{}")
    run(recipe_with("training.grpo.steps=14"), place)
    assert not (tmp_path / "grpo.old-4").exists()  # nothing was trained there
    assert not (tmp_path / "training" / "grpo" / "nonfinite_step_0001.jsonl").exists()


def test_a_part_that_cannot_be_moved_is_not_lost(
    tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = inputs(tmp_path)
    run(recipe_with(), place)

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RunError, match=r"changed: training\.grpo\.steps\) and cannot be moved .*Permission denied"):
        run(recipe_with("training.grpo.steps=12"), place)
    assert (tmp_path / "training" / "grpo" / "done").exists() and len(calls) == 2


def test_another_reward_at_the_server_makes_grpo_again(
    tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = inputs(tmp_path)
    for identity, trained in (("one", 2), ("one", 2), ("two", 3)):
        monkeypatch.setattr(RemoteReward, "check", partialmethod(setattr, "identity", identity))
        run(recipe_with("reward.placement=http://127.0.0.1:8311"), place)
        assert len(calls) == trained
    with pytest.warns(UserWarning, match="the reward of the server http://127.0.0.1:8311"), suppress(Exception):
        load_reward(tmp_path)


def test_a_part_is_made_again_when_a_file_that_it_reads_changes(tmp_path: Path, calls: list[Any]) -> None:
    place = inputs(tmp_path)
    run(recipe_with(), place)
    (tmp_path / "estimator" / "calibration.json").write_text("[]")
    run(recipe_with(), place)
    assert [call[0] for call in calls] == ["sft", "grpo", "grpo"]
    write_jsonl(tmp_path / "data" / "sft.jsonl", [{"id": "s1", "prompt": "May she?", "completion": "No."}])
    run(recipe_with(), place)
    # The fake saves the same model whatever it learns from, so OP-GRPO has nothing new to start from.
    assert [call[0] for call in calls] == ["sft", "grpo", "grpo", "sft"]
