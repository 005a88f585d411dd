"""A training on a disk that is really full: one message, no half checkpoint, and it goes on when there is room."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_and_resume import forked, sft
from safetensors.torch import load_file

from overton.errors import DiskFullError
from overton.failures import explain
from overton.training.callbacks import MetricsFile
from overton.training.checkpoints import damage, numbered


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; a checkpoint takes about 150 kB, its optimizer 56 of them."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "overton-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield folder
    # Lazily: a failed writer may still hold its file open.
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that had room enough."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    sft(folder, "muon", 4)
    return folder


def fill_at(monkeypatch: pytest.MonkeyPatch, step: int, ballast: Path, room: int, event: str = "on_step_end") -> None:
    """After so many steps, leave ``room`` kB of the disk."""

    def fill(self: MetricsFile, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step:
            ballast.write_bytes(bytes(shutil.disk_usage(ballast.parent).free - room * 1024))

    monkeypatch.setattr(MetricsFile, event, fill, raising=False)


def goes_on(folder: Path, whole: Path) -> None:
    sft(folder, "muon", 4)
    expected, found = load_file(whole / "model/model.safetensors"), load_file(folder / "model/model.safetensors")
    assert all(weights.equal(found[name]) for name, weights in expected.items())
    rows = [line.split(", ")[:2] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows == [line.split(", ")[:2] for line in (whole / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("room", [0, 32, 64, 128])  # the disk is full at another file each time
def test_a_checkpoint_that_does_not_fit_is_one_message_and_the_one_before_stays(
    small_disk: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    folder, ballast = small_disk / "sft", small_disk / "ballast"
    fill_at(monkeypatch, 8, ballast, room)
    with pytest.raises(DiskFullError) as caught:
        sft(folder, "muon", 4)
    assert re.search(
        r"the disk is full while .*checkpoint-8\S* was written \(0\.\d MB are free\)\. Free some", str(caught.value)
    )
    assert explain(caught.value) == str(caught.value)
    assert [(step, damage(path)) for step, path in numbered(folder / "checkpoints")] == [(4, None)]
    assert not (folder / "model").exists()
    ballast.unlink()
    monkeypatch.undo()
    goes_on(folder, whole)


def test_a_model_that_does_not_fit_is_one_message_and_no_half_model(
    small_disk: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ballast = small_disk / "sft", small_disk / "ballast"
    fill_at(monkeypatch, 15, ballast, 16, "on_train_end")
    with pytest.raises(DiskFullError, match=r"the disk is full while .*model\S* was written"):
        sft(folder, "muon", 4)
    assert {path.name for path in folder.iterdir()} == {"checkpoints", "metrics.jsonl", "sft.jsonl"}
    ballast.unlink()
    monkeypatch.undo()
    goes_on(folder, whole)


def test_a_failed_write_that_is_no_full_disk_leaves_no_half_checkpoint_either(tmp_path: Path, whole: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # more than the weights, less than the optimizer
        sft(tmp_path, "muon", 4)

    assert forked(limited) == 1
    assert numbered(tmp_path / "checkpoints") == []
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 3  # steps 1, 2 and 4
    goes_on(tmp_path, whole)


def test_metrics_without_room_are_one_message(whole: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match=r"the disk is full while .*metrics\.jsonl was written"):
        sft(tmp_path, "muon", 4)
