"""Hashes of files outside the run: right after any change, and without reading what nobody touched."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from overton import inputs
from overton.inputs import MEMORY, outside_hash
from overton.jsonio import read_json, sha256, write_json


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder, and no waiting until its files are old enough to be remembered."""
    monkeypatch.setattr(inputs, "_STEP", 0.05)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("one")
    time.sleep(0.1)
    return folder


def claim(run: Path, digest: str) -> None:
    """Change what is remembered, so that it shows when it is taken."""
    known = read_json(run / MEMORY)
    write_json(run / MEMORY, {place: {**row, "sha256": digest} for place, row in known.items()})


def test_what_nobody_touched_is_not_read_again(weights: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert outside_hash(weights, run) == sha256(weights)
    claim(run, "remembered")
    assert outside_hash(weights, run) == "remembered"
    os.utime(weights / "config.json")  # a touch means reading it, and the hash is the same
    assert outside_hash(weights, run) == sha256(weights)


def test_other_content_of_the_same_size_and_time_is_seen(weights: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", weights / "model.safetensors"
    before, was = outside_hash(weights, run), file.stat()
    file.write_text("two")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))  # as `cp -p` and `rsync -t` do
    assert file.stat().st_mtime_ns == was.st_mtime_ns and file.stat().st_size == was.st_size
    assert outside_hash(weights, run) == sha256(weights) != before


@pytest.mark.parametrize("change", ["add", "remove", "rename"])
def test_names_count(weights: Path, tmp_path: Path, change: str) -> None:
    before = outside_hash(weights, tmp_path / "run")
    if change == "add":
        (weights / "adapter.json").write_text("{}")
    elif change == "remove":
        (weights / "config.json").unlink()
    else:
        (weights / "config.json").rename(weights / "configuration.json")
    assert outside_hash(weights, tmp_path / "run") == sha256(weights) != before


def test_hidden_files_do_not_count(weights: Path, tmp_path: Path) -> None:
    before = outside_hash(weights, tmp_path / "run")
    (weights / ".DS_Store").write_text("x")
    (weights / ".cache").mkdir()
    (weights / ".cache" / "lock").write_text("x")
    assert outside_hash(weights, tmp_path / "run") == before == sha256(weights)


def test_what_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("{}")  # another change may come within the same tick of the disk's clock
    assert outside_hash(tmp_path / "q.jsonl", tmp_path / "run") == sha256(tmp_path / "q.jsonl")
    assert not (tmp_path / "run" / MEMORY).exists()


def test_a_helping_process_writes_nothing(weights: Path, tmp_path: Path) -> None:
    assert outside_hash(weights, tmp_path / "run", write=False) == sha256(weights)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 3}'])
def test_a_broken_memory_is_none(weights: Path, tmp_path: Path, content: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / MEMORY).write_text(content)
    assert outside_hash(weights, run) == sha256(weights)
