"""Stage ``training``: two parts, each made once and again only when what decides its weights changes."""

from __future__ import annotations

import gc
import shutil
import weakref
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from stage_material import recipe_with

import overton.training.card
import overton.training.grpo
import overton.training.trainers
from overton.errors import ModelError, RecipeError
from overton.jsonio import read_jsonl, write_jsonl, write_text
from overton.pipeline import find_stage, run_stage
from overton.recipe import Recipe
from overton.rewards import load_reward
from overton.rundir import RunDir
from overton.testing import tiny_policy
from two_processes import SITUATIONS, answer, quick_estimator

pytestmark = pytest.mark.slow


TRAINING = find_stage("training")


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
    from overton.commands.ask import run_template

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
