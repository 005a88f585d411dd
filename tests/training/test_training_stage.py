"""Stage ``training``: two parts, each made once and again only when what decides its weights changes."""

from __future__ import annotations

import gc
import shutil
import weakref
from contextlib import chdir, suppress
from copy import deepcopy
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import overton.estimator
import overton.training.card
import overton.training.grpo
import overton.training.sft
import overton.training.trainers
from overton.errors import ModelError, RecipeError, RunError
from overton.integrations.remote import RemoteReward
from overton.jsonio import read_jsonl, write_jsonl, write_text
from overton.pipeline import find_stage, run_stage
from overton.recipe import Recipe, override, parse_recipe
from overton.rewards import load_reward
from overton.rundir import RunDir
from overton.testing import tiny_policy
from overton.training import parts
from overton.training.stage import run
from overton.types import Perspective, Situation
from two_processes import SITUATIONS, answer, quick_estimator

pytestmark = pytest.mark.slow

TRAINING = find_stage("training")


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


def recipe_with(*changes: str, **start: Any) -> Recipe:
    one = {"grpo": {"prompts_per_step": 1}}  # there is no more than one situation
    raw: dict[str, Any] = {"name": "x", "training": one, **deepcopy(start)}
    for item in changes:
        override(raw, item)
    return parse_recipe(raw)


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


SMALL: dict[str, Any] = {
    "threads": 1,
    "policy": {"model": "policy"},
    "training": {
        "bf16": False,
        "sft": {"batch_size": 4, "learning_rate": 0.01, "save_steps": 2},
        "grpo": {"steps": 2, "prompts_per_step": 2, "num_generations": 4, "max_completion_length": 12},
    },
}
WEIGHTS = {part: f"training/{part}/model/model.safetensors" for part in ("sft", "grpo")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of which both parts are trained, and the policy that it started from."""
    folder = tmp_path_factory.mktemp("trained")
    run = RunDir(folder / "run")
    tiny_policy(folder / "policy", max_length=512)
    rows = [{"id": s.id, "prompt": s.text, "completion": answer(s.id, i)} for i in range(2) for s in SITUATIONS]
    write_jsonl(run.path / "data" / "sft.jsonl", rows)
    write_jsonl(run.path / "data" / "train.jsonl", [s.to_json() for s in SITUATIONS])
    quick_estimator(Recipe(name="x"), run)
    with chdir(folder):
        assert run_stage(recipe_with(**SMALL), run, TRAINING)
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A copy of that run, beside a copy of its policy, in the working folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return RunDir(tmp_path / "run")


def made_again(run: RunDir, recipe: Recipe) -> tuple[list[str], list[str]]:
    """Parts whose file of weights was written anew by the stage, and those whose weights became others."""
    files = {part: run.path / name for part, name in WEIGHTS.items()}
    stood = {part: (file.stat().st_ino, file.stat().st_mtime_ns) for part, file in files.items()}
    before = {part: load_file(file) for part, file in files.items()}
    ran = run_stage(recipe, run, TRAINING)
    assert not run_stage(recipe, run, TRAINING)  # up to date
    written = [part for part, file in files.items() if stood[part] != (file.stat().st_ino, file.stat().st_mtime_ns)]
    others = [
        part
        for part, file in files.items()
        if any(not torch.equal(weights, before[part][name]) for name, weights in load_file(file).items())
    ]
    assert ran or not written
    return written, others


@pytest.mark.parametrize(
    "change",
    [
        "training.grpo.learning_rate=0.003",
        "reward.preset=op-grpo",
        "training.grpo.steps=3",
        "training.grpo.steps_per_generation=2",
    ],
)
def test_another_grpo_or_reward_keeps_the_finished_sft(copied: RunDir, change: str) -> None:
    assert made_again(copied, recipe_with(change, **SMALL)) == (["grpo"], ["grpo"])
    steps = [row["step"] for row in read_jsonl(copied.path / "training" / "grpo" / "metrics.jsonl")]
    assert steps == ([1, 2, 3] if "steps=3" in change else [1, 2])


def test_a_finished_training_leaves_no_model_in_memory(copied: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []
    left: list[Any] = []
    save, card = overton.training.trainers.train_and_save, overton.training.card.write_card

    def train_and_save(trainer: Any, tokenizer: Any, folder: Path) -> None:
        trained.append(weakref.ref(trainer.model))
        save(trainer, tokenizer, folder)

    def write_card(folder: Path, recipe: Recipe, part: str) -> None:
        left.append(trained[-1]())
        card(folder, recipe, part)

    monkeypatch.setattr(overton.training.trainers, "train_and_save", train_and_save)
    monkeypatch.setattr(overton.training.grpo, "train_and_save", train_and_save)
    monkeypatch.setattr(overton.training.card, "write_card", write_card)
    gc.disable()  # as it happens to be
    try:
        run_stage(recipe_with("training.sft.learning_rate=0.02", **SMALL), copied, TRAINING)
    finally:
        gc.enable()
    assert len(trained) == 2 and left == [None, None]


def test_another_estimator_keeps_the_finished_sft(copied: RunDir) -> None:
    file = copied.path / "estimator" / "calibration.json"
    file.write_text(file.read_text().replace('"threshold": 0.5', '"threshold": 0.99'))
    assert made_again(copied, recipe_with(**SMALL))[0] == ["grpo"]


@pytest.mark.parametrize("change", ["training.sft.learning_rate=0.02", "seed=4", "training.sft.batch_size=2"])
def test_another_sft_makes_both_again(copied: RunDir, change: str) -> None:
    assert made_again(copied, recipe_with(change, **SMALL)) == (["sft", "grpo"], ["sft", "grpo"])


def test_another_policy_in_the_same_folder_makes_both_again(copied: RunDir) -> None:
    shutil.rmtree("policy")
    tiny_policy("policy", max_length=512, seed=7)
    assert made_again(copied, recipe_with(**SMALL)) == (["sft", "grpo"], ["sft", "grpo"])


def test_keys_that_decide_no_weights_make_nothing_again(copied: RunDir) -> None:
    changes = [
        "threads=2",
        "training.report_to=[tensorboard]",
        "training.gradient_checkpointing=true",
        "training.sft={batch_size: 2, gradient_accumulation: 2, learning_rate: 0.01, save_steps: 7}",
        "training.grpo.micro_batch_size=2",
        "training.grpo.save_steps=1",
        "training.grpo.steps_per_generation=1",
        "training.grpo.log_completions_steps=1",
        "training.grpo.vllm_gpu_memory_utilization=0.5",
        "training.grpo.vllm_tensor_parallel_size=2",
        "reward.placement=cpu",
        "reward.token_env=TOKEN",
        "reward.timeout=30",
    ]
    for change in changes:
        assert not run_stage(recipe_with(change, **SMALL), copied, TRAINING), change


def test_answers_at_once_decide_the_weights_beside_an_entropy_bonus(copied: RunDir) -> None:
    bonus = ["training.grpo.entropy_coef=0.1"]
    assert made_again(copied, recipe_with(*bonus, **SMALL)) == (["grpo"], ["grpo"])
    at_once = [*bonus, "training.grpo.micro_batch_size=2"]
    assert made_again(copied, recipe_with(*at_once, **SMALL)) == (["grpo"], ["grpo"])


def test_hidden_files_make_nothing_again(copied: RunDir) -> None:
    for place in ("run/training/sft/model", "run/estimator/model", "policy"):
        Path(place, ".DS_Store").write_text("x")
    assert not run_stage(recipe_with(**SMALL), copied, TRAINING)
    # OP-GRPO loads the estimator, which must not be called another model either.
    assert made_again(copied, recipe_with("training.grpo.learning_rate=0.003", **SMALL))[0] == ["grpo"]


def test_a_file_beside_the_weights_and_another_spelling_of_the_path_make_nothing_again(copied: RunDir) -> None:
    beside = copied.path / "training" / "sft" / "model" / "model.gguf"
    beside.write_text("a converted copy")
    spelled = SMALL | {"policy": {"model": "./policy/"}}
    assert made_again(copied, recipe_with(**spelled)) == ([], [])
    assert made_again(copied, recipe_with("training.grpo.learning_rate=0.003", **spelled))[0] == ["grpo"]
    assert beside.read_text() == "a converted copy"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ("training.sft.packing=64", RecipeError, "a row of 64 tokens is too short"),
        ("policy.model=./typo", RecipeError, "no such folder"),
        ("policy.model=no-org/typo", ModelError, "no tokenizer of no-org/typo"),
        ("training.grpo.max_completion_length=500", RecipeError, "more than the 512 positions"),
        ("reward.data_set=nope", RecipeError, "no calibration for the data set"),
    ],
)
def test_what_cannot_be_trained_costs_no_finished_model(
    copied: RunDir, monkeypatch: pytest.MonkeyPatch, change: str, error: type[Exception], text: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it tries again for a minute
    with pytest.raises(error, match=text):
        run_stage(recipe_with(change, **SMALL), copied, TRAINING)
    assert made_again(copied, recipe_with(**SMALL)) == ([], [])


def test_a_run_is_asked_and_rewards_as_it_was_trained(copied: RunDir) -> None:
    from overton.ask import run_template
    from overton.rewards import load_reward

    write_text(
        copied.path / "recipe.yaml",
        "name: x\nreward: {overrides: {beta: 3.0}}\npolicy: {prompt_template: 'Q: {situation}'}",
    )
    for source in (copied.path, copied.path / "recipe.yaml"):
        assert load_reward(source).preset == load_reward(copied.path / "estimator").preset
    assert run_template(copied.path / "training" / "grpo" / "model") == "{situation}"
    shutil.rmtree(copied.path / "training")
    assert load_reward(copied.path).preset.beta == 3.0


def test_lost_weights_of_sft_are_made_again_and_grpo_stays_when_they_are_the_same(copied: RunDir) -> None:
    file = copied.path / WEIGHTS["sft"]
    before = load_file(file)
    file.unlink()
    assert run_stage(recipe_with(**SMALL), copied, TRAINING)
    assert all(torch.equal(weights, before[name]) for name, weights in load_file(file).items())
    assert made_again(copied, recipe_with(**SMALL)) == ([], [])


def test_sft_weights_from_elsewhere_are_not_taken_for_its_own(copied: RunDir) -> None:
    shutil.copy(copied.path / WEIGHTS["grpo"], copied.path / WEIGHTS["sft"])
    assert made_again(copied, recipe_with(**SMALL)) == (["sft"], ["sft"])
