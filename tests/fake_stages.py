"""Stages that take no time, so that tests can watch how a run goes through them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from overton.jsonio import write_json, write_text
from overton.recipe import Recipe
from overton.rundir import RunDir

# What each stage writes; together all that later stages declare to read.
FILES = {
    "data": [
        "train.jsonl",
        "test.jsonl",
        "sft.jsonl",
        "triplets.jsonl",
        "pairs.dev.jsonl",
        "pairs.test.jsonl",
    ],
    "estimator": ["model/weights", "calibration.json"],
    "training": ["sft/model/weights", "grpo/model/weights", "grpo/metrics.jsonl"],
    "generation": ["sft.jsonl", "grpo.jsonl"],
    "evaluation": ["summary.json"],
    "report": ["index.html", "report.md"],
}


def install(modules: dict[str, Any] = sys.modules) -> list[str]:  # type: ignore[assignment]
    """Put fake stages in place of the real ones; returns the list that each call adds its stage to."""
    calls: list[str] = []
    for name in FILES:
        module = ModuleType(f"overton.{name}.stage")
        module.run = _stage(name, calls)  # type: ignore[attr-defined]
        modules[module.__name__] = module
    return calls


def _stage(name: str, calls: list[str]) -> Any:
    def run(recipe: Recipe, run: RunDir) -> None:
        calls.append(name)
        for number, file in enumerate(FILES[name]):
            if name == "generation" and file not in recipe.generation.writes:
                continue
            if os.environ.get("KILL") == f"{name}:{number}":
                (run.stage(name) / f"half-of-{number}").write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
            if file == "summary.json":
                write_json(run.stage(name) / file, _summary(recipe))
            else:
                write_text(run.stage(name) / file, f"{name} {file} made with seed {recipe.seed}\n")

    return run


def _summary(recipe: Recipe) -> dict[str, Any]:
    score = {"mean": 0.5 + recipe.seed / 10, "low": 0.4, "high": 0.9, "n": 10, "unscored": 0}
    return {"systems": {name: {"coverage": score} for name in ("sft", "grpo")}, "comparisons": []}


if __name__ == "__main__":
    # overton's command line with fake stages: python fake_stages.py run RECIPE ...
    from overton.cli import main

    sys.path.insert(0, str(Path(__file__).parent))
    install()
    sys.exit(main())
