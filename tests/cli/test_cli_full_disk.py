"""A full disk, wherever it shows, is one message, and running again goes on."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from overton.errors import DiskFullError, RunError
from overton.failures import explain
from overton.folders import atomic_folder
from overton.jsonio import write_text
from overton.rundir import RunDir

Fails = Callable[..., str]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors")


def stage_writes(monkeypatch: pytest.MonkeyPatch, write: Callable[[RunDir], object]) -> None:
    monkeypatch.setattr(sys.modules["overton.estimator.stage"], "run", lambda recipe, run: write(run))


def test_in_our_own_write(fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(run: RunDir) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            write_text(run.stage("estimator") / "calibration.json", "{}")

    good = sys.modules["overton.estimator.stage"].run
    stage_writes(monkeypatch, write)
    message = fails("run", recipe)
    assert message.startswith("error: the disk is full")
    assert "run the same command again" in message
    assert [p.name for p in Path("runs/mine/estimator").iterdir()] == ["manifest.json"]
    monkeypatch.setattr(sys.modules["overton.estimator.stage"], "run", good)
    from overton.cli import main

    assert main(["run", str(recipe)]) == 0
    assert fake_stages.count("data") == 1


def test_in_a_librarys_write(
    fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(run: RunDir) -> None:
        raise FULL

    stage_writes(monkeypatch, write)
    message = fails("run", recipe)
    assert "the disk is full while model.safetensors was written" in message
    assert re.search(r"\([\d,]+\.\d MB are free\)", message)


def test_when_the_first_file_of_the_run_cannot_be_written(
    fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "the disk is full" in fails("run", recipe)
    assert [p.name for p in Path("runs/mine").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    ],
)
def test_it_is_known_by_number_and_by_text(error: Exception) -> None:
    assert "the disk is full" in (explain(error) or "")
    wrapped = RunError("could not save")
    wrapped.__cause__ = error
    assert "the disk is full" in (explain(wrapped) or "")


@pytest.mark.parametrize(
    ("number", "wanted"),
    [(errno.ENOSPC, "the disk is full while"), (errno.EDQUOT, "your quota is used up while"), (errno.EFBIG, "ulimit")],
)
def test_weights_without_room_are_one_message(
    fails: Fails,
    fake_stages: list[str],
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    wanted: str,
) -> None:
    from safetensors import SafetensorError

    def write(run: RunDir) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")

    stage_writes(monkeypatch, write)
    message = fails("run", recipe)
    assert wanted in message and "runs/mine was written" in message
    assert wanted.replace(" while", "") in (explain(OSError(number, os.strerror(number))) or "")


def test_weights_above_the_limit_of_a_file_leave_the_old_ones(tmp_path: Path) -> None:
    import resource

    import numpy as np
    from safetensors.numpy import save_file

    write_text(tmp_path / "model" / "weights", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="larger than"), atomic_folder(tmp_path / "model") as temporary:
            save_file({"a": np.zeros(100_000)}, temporary / "model.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "weights"]


def test_a_failed_write_that_hides_its_reason_is_told_by_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")
    assert explain(hidden, tmp_path) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    assert "the disk is full" in (explain(hidden, tmp_path / "not" / "yet" / "there") or "")
    assert explain(RuntimeError("shapes do not fit"), tmp_path) is None


def test_other_failures_to_write_are_not_called_a_full_disk() -> None:
    message = explain(PermissionError(errno.EACCES, "Permission denied", "runs/a"))
    assert message == "runs/a: Permission denied"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "overton-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield folder
    # Lazily: a failed writer may still hold its file open.
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_disk_that_is_really_full(
    fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    stage_writes(monkeypatch, lambda run: write_text(run.stage("estimator") / "model" / "weights", "x" * 300_000))
    assert "the disk is full" in fails("run", recipe, "--run-dir", small_disk / "run")
    assert list((small_disk / "run" / "estimator" / "model").iterdir()) == []
    assert (RunDir(small_disk / "run").manifest("data") or {})["status"] == "complete"


def test_torch_on_a_disk_that_is_really_full(small_disk: Path) -> None:
    import torch

    with pytest.raises((RuntimeError, OSError)) as caught:
        torch.save(torch.zeros(100_000), small_disk / "optimizer.pt")
    assert "the disk is full" in (explain(caught.value, small_disk) or "")
