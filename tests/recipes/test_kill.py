"""The quickstart, shrunk, killed in every stage: it ends with the figures of a run that was left alone."""

from __future__ import annotations

import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from test_recipes import RECIPES, SCRATCH, SMALL

import preloaded
from overton.jsonio import read_json, read_jsonl, sha256
from overton.pipeline import NAMES
from overton.rundir import RunDir

pytestmark = pytest.mark.slow

LONGER = ["training.grpo.steps=4", "training.grpo.save_steps=2", "data.train=90"]


def start(folder: Path, log: Path) -> BaseProcess:
    recipe = next(p for p in RECIPES if p.stem == "quickstart")
    changes = [part for item in SMALL + SCRATCH + LONGER for part in ("--set", item)]
    command = ["-m", "overton", "run", str(recipe), "--run-dir", str(folder), *changes]
    return preloaded.start(command, log, log)


def finish(folder: Path, log: Path) -> None:
    process = start(folder, log)
    process.join()
    assert process.exitcode == 0, log.read_text(encoding="utf-8", errors="replace")[-4000:]


# What shows that a stage is in the middle of its work.
SIGNS = {
    "data": "data/manifest.json",
    "estimator": "estimator/manifest.json",
    "sft": "training/sft/checkpoints/checkpoint-2/trainer_state.json",
    "grpo": "training/grpo/checkpoints/checkpoint-2/trainer_state.json",
    "generation": "generation/sft.jsonl",
    "evaluation": "evaluation/sft.form.jsonl",
    "report": "report/manifest.json",
}


def kill_at(sign: str, folder: Path, log: Path) -> bool:
    """Start the run and kill it when a file has appeared; whether the file's stage was not over yet."""
    process = start(folder, log)
    while not (folder / sign).exists():
        if process.exitcode is not None:
            assert process.exitcode == 0, log.read_text(encoding="utf-8", errors="replace")[-4000:]
            return False  # the stage was over between two looks
        time.sleep(0.002)
    process.kill()
    process.join()
    return (RunDir(folder).manifest(sign.split("/")[0]) or {}).get("status") != "complete"


def results(folder: Path) -> dict[str, Any]:
    """Everything a run hands over, without what the clock decides."""
    answers = {
        p.stem: [{k: v for k, v in row.items() if k != "seconds"} for row in read_jsonl(p)]
        for p in sorted((folder / "generation").glob("*.jsonl"))
    }
    weights = {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("model.safetensors"))}
    data = {p.name: sha256(p) for p in sorted((folder / "data").glob("*.jsonl"))}
    summary = read_json(folder / "evaluation" / "summary.json")
    for figures in summary["systems"].values():
        del figures["seconds"]
    summary["comparisons"] = [row for row in summary["comparisons"] if row["metric"] != "seconds"]
    return {"answers": answers, "weights": weights, "data": data, "summary": summary}


def test_killed_in_every_stage_ends_as_if_left_alone(tmp_path: Path) -> None:
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "log"
    finish(whole, log)
    hit = {name: kill_at(sign, killed, log) for name, sign in SIGNS.items()}
    assert sum(hit.values()) >= 5, hit  # a short stage may end before the signal comes
    finish(killed, log)
    assert all((RunDir(killed).manifest(name) or {})["status"] == "complete" for name in NAMES)
    assert not list(killed.rglob(".*.tmp"))
    expected, found = results(whole), results(killed)
    assert len(expected["weights"]) >= 4
    for part in expected:
        assert found[part] == expected[part], part
