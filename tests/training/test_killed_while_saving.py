"""SIGKILL between two files of a checkpoint, while old ones are removed, and while the model is saved."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_and_resume import forked, grpo, kill_at, metrics_without_clock, sft
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerBase

import overton.training.checkpoints
import overton.training.guard
from overton.rundir import RunDir
from overton.training.checkpoints import damage, last_checkpoint, numbered
from overton.training.parts import finish, is_finished

pytestmark = pytest.mark.slow

TRAININGS: dict[str, Callable[[Path], None]] = {"sft": lambda f: sft(f, "muon", 4), "grpo": lambda f: grpo(f)}


def at_call(owner: Any, name: str, number: int) -> None:
    """Let the process die in a call of a function, after half of its work."""
    calls = 0
    real = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            for path in args[1:2]:
                if isinstance(path, str) and path.endswith((".pt", ".pth")):
                    Path(path).write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(owner, name, dying)


# What dies, and the steps of the checkpoints that are whole then, of SFT with one every 4 steps.
MOMENTS: dict[str, tuple[Callable[[], None], list[int]]] = {
    # A checkpoint calls torch.save for arguments, optimizer, scheduler and random state.
    "arguments of the first": (lambda: at_call(torch, "save", 1), []),
    "optimizer of the second": (lambda: at_call(torch, "save", 6), [4]),
    "random state of the second": (lambda: at_call(torch, "save", 8), [4]),
    "list of the second": (lambda: at_call(overton.training.guard, "seal", 2), [4]),
    "removal of the first": (lambda: at_call(overton.training.guard, "rotate", 3), [12, 8, 4]),
    "half of the removal": (lambda: at_call(shutil, "rmtree", 4), [12, 8]),
    "tokenizer beside the model": (lambda: at_call(PreTrainedTokenizerBase, "save_pretrained", 5), [15, 12]),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both trainings, left alone."""
    folder = tmp_path_factory.mktemp("whole")
    for name, train in TRAININGS.items():
        assert forked(lambda train=train, name=name: train(folder / name)) == 0  # type: ignore[misc]
    return folder


def ends_as_if_never_killed(name: str, folder: Path, whole: Path) -> None:
    assert forked(lambda: TRAININGS[name](folder / name)) == 0
    expected = load_file(whole / name / "model/model.safetensors")
    found = load_file(folder / name / "model/model.safetensors")
    assert all(weights.equal(found[key]) for key, weights in expected.items())
    assert metrics_without_clock(folder / name) == metrics_without_clock(whole / name)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_something_is_written_or_removed(whole: Path, tmp_path: Path, moment: str) -> None:
    set_up, steps = MOMENTS[moment]

    def die() -> None:
        set_up()
        sft(tmp_path / "sft", "muon", 4)

    assert forked(die) == -signal.SIGKILL
    checkpoints = tmp_path / "sft" / "checkpoints"
    assert [step for step, path in numbered(checkpoints) if damage(path) is None] == steps
    assert not (tmp_path / "sft" / "model").exists()
    ends_as_if_never_killed("sft", tmp_path, whole)
    assert [step for step, path in numbered(checkpoints) if damage(path) is None] == [15, 12]


def test_damaged_checkpoints_are_passed_over_by_both_trainings(
    whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {"sft": "optimizer.pt", "grpo": "model.safetensors"}
    for name, file in files.items():
        shutil.copytree(whole / name, tmp_path / name)
        shutil.rmtree(tmp_path / name / "model")
        newest = Path(last_checkpoint(tmp_path / name / "checkpoints", 15) or "")  # 12, one before the last
        os.truncate(newest / file, 1000)
        shutil.copytree(newest, newest.with_name("checkpoint-9"))  # the one before, as damaged
    shutil.copytree(whole / "start", tmp_path / "start")
    for name, file in files.items():
        capfd.readouterr()
        ends_as_if_never_killed(name, tmp_path, whole)
        said = [line for line in capfd.readouterr().err.splitlines() if "passed over" in line]
        assert len(said) == 2 and all(f"{file} has 1,000 of " in line for line in said)


LESS_MEMORY: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    # Not muon: its bfloat16 makes a difference in the last bit a larger one.
    "sft": (lambda f: sft(f, "adamw", 4), lambda f: sft(f, "adamw", 2, accumulation=2)),
    "grpo": (lambda f: grpo(f), lambda f: grpo(f, save_steps=2, micro_batch_size=2)),
}


@pytest.mark.parametrize("name", LESS_MEMORY)
def test_a_killed_training_takes_up_keys_that_decide_no_weights(tmp_path: Path, name: str) -> None:
    """Fewer rows at once, and checkpoints at other steps: the weights are the same up to rounding."""
    before, after = LESS_MEMORY[name]

    def die() -> None:
        kill_at(7)
        before(tmp_path / "killed")

    assert forked(lambda: before(tmp_path / "whole")) == 0
    assert forked(die) == -signal.SIGKILL
    assert forked(lambda: after(tmp_path / "killed")) == 0
    expected = load_file(tmp_path / "whole/model/model.safetensors")
    for key, found in load_file(tmp_path / "killed/model/model.safetensors").items():
        torch.testing.assert_close(found, expected[key], atol=1e-4, rtol=0)
    assert [step for step, _ in numbered(tmp_path / "killed" / "checkpoints")] == [15, 14]


def test_the_stage_keeps_what_a_kill_at_its_end_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / "sft"
    (part / "checkpoints" / "checkpoint-4").mkdir(parents=True)
    (part / "model").mkdir()
    (part / "model" / "model.safetensors").write_bytes(b"weights")

    def die() -> None:
        at_call(shutil, "rmtree", 1)
        finish(part)

    assert forked(die) == -signal.SIGKILL
    assert is_finished(part)  # the training is not lost with its checkpoints
    finish(part)
    assert sorted(path.name for path in part.iterdir()) == ["done", "model"]


def test_half_a_model_is_removed_when_the_stage_begins_again(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.begin("training", {"seed": 1})

    def die() -> None:
        at_call(PreTrainedTokenizerBase, "save_pretrained", 5)
        sft(run.stage("training") / "sft", "muon", 4)

    assert forked(die) == -signal.SIGKILL
    part = run.stage("training") / "sft"
    assert len(list(part.glob(".model.*.tmp"))) == 1 and not (part / "model").exists()
    run.begin("training", {"seed": 1})
    assert not list(part.glob(".*")) and (part / "checkpoints").exists()
