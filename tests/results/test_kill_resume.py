"""The comparison of a training that was killed with one that was not sees what differs."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import kill_resume as bench
from overton.training.checkpoints import damage, seal


def part(folder: Path, weight: float = 1.0, steps: tuple[int, ...] = (1, 2, 3), loss: float = 0.5) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "completions").mkdir()
    save_file({"w": np.array([weight, 2.0], dtype=np.float32)}, folder / "model" / "model.safetensors")
    rows = [{"step": step, "loss": loss, "seconds/step": time.time()} for step in steps]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "completions" / "step_0000.jsonl").write_text('{"answer": "a"}\n')
    return folder


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({}, {}),
        ({"weight": 1.5}, {"largest_difference": 0.5}),
        ({"steps": (1, 2, 2, 3)}, {"wrong_steps": 1, "different_rows": 1}),
        ({"steps": (1, 3)}, {"wrong_steps": 1, "different_rows": 1}),
        ({"loss": 0.25}, {"different_rows": 3}),
    ],
)
def test_each_difference_is_counted(tmp_path: Path, other: dict[str, Any], differs: dict[str, float]) -> None:
    found = bench.compare(part(tmp_path / "whole"), part(tmp_path / "killed", **other))
    none = {"largest_difference": 0.0, "wrong_steps": 0, "different_rows": 0, "different_answers": 0}
    assert {key: found[key] for key in none} == none | differs
    assert found["same"] is not bool(differs)


def test_missing_answers_differ(tmp_path: Path) -> None:
    whole, killed = part(tmp_path / "whole"), part(tmp_path / "killed")
    (killed / "completions" / "step_0000.jsonl").unlink()
    assert bench.compare(whole, killed)["different_answers"] == 1


def test_where_a_training_is_and_what_is_damaged(tmp_path: Path) -> None:
    training = part(tmp_path / "training" / "sft")
    assert (bench.last_step(tmp_path, "sft"), bench.last_step(tmp_path, "grpo")) == (3, 0)
    with (training / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert bench.last_step(tmp_path, "sft") == 3
    for step in (2, 4):
        checkpoint = training / "checkpoints" / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "optimizer.pt").write_bytes(b"moments")
        assert bench.unfinished(tmp_path, 0.0) and not bench.unfinished(tmp_path, time.time() + 60)
        seal(checkpoint)
        assert not bench.unfinished(tmp_path, 0.0)
    assert bench.newest_whole(tmp_path, "sft") == 4
    assert bench.damage_newest(tmp_path, random.Random(0)).startswith("sft checkpoint-4: ")
    assert damage(training / "checkpoints" / "checkpoint-4")
    assert bench.newest_whole(tmp_path, "sft") == 2
    assert bench.damage_newest(tmp_path, random.Random(1)).startswith("sft checkpoint-2: ")
    assert bench.damage_newest(tmp_path, random.Random(2)) == ""
