"""Stage ``training``: SFT, then OP-GRPO. Each part is skipped when its model is already saved.

All processes of a launcher run it together; the first one alone writes.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from overton.processes import count, is_first, wait_for_all
from overton.progress import console
from overton.recipe import Recipe
from overton.rundir import RunDir, read_jsonl
from overton.types import Situation


def run(recipe: Recipe, run: RunDir) -> None:
    """Write ``training/{sft,grpo}/`` with model, metrics and sampled answers."""
    from overton.estimator import SimilarityEstimator
    from overton.training.grpo import train_grpo
    from overton.training.lengths import settle, situation_problems
    from overton.training.preflight import check_start
    from overton.training.sft import train_sft

    check_start(recipe, count())
    situations = grpo_situations(recipe, run)
    settle(situation_problems(recipe, len(situations)))
    folder = run.stage("training")
    if not _finished(folder / "sft"):
        console.print("supervised fine-tuning")
        asked = [s.text for s in situations]
        train_sft(recipe, run.path / "data" / "sft.jsonl", folder / "sft", asked=asked)
    _finish(folder / "sft")
    if not _finished(folder / "grpo"):
        console.print("OP-GRPO")
        section = recipe.reward
        home = run.path / "estimator"
        estimator = None if section.remote else SimilarityEstimator.load(home, data_set=section.data_set)
        train_grpo(recipe, situations, folder / "sft" / "model", estimator, folder / "grpo")
    _finish(folder / "grpo")


def grpo_situations(recipe: Recipe, run: RunDir) -> list[Situation]:
    """The train split, or ``data.grpo_only`` situations without an SFT answer and as many others."""
    situations = [Situation.from_json(row) for row in read_jsonl(run.path / "data" / "train.jsonl")]
    if not recipe.data.grpo_only:
        return situations
    answered = {row["id"] for row in read_jsonl(run.path / "data" / "sft.jsonl")}
    new = [s for s in situations if s.id not in answered]
    old = [s for s in situations if s.id in answered]
    return new + random.Random(recipe.seed).sample(old, min(len(new), len(old)))


def _finished(part: Path) -> bool:
    return (part / "done").is_file()


def _finish(part: Path) -> None:
    wait_for_all()
    if is_first():
        (part / "done").write_text("", encoding="utf-8")
        # Checkpoints are only for resuming; the saved model is what later stages read. They go last, since a kill
        # between the two must not take both.
        shutil.rmtree(part / "checkpoints", ignore_errors=True)
    wait_for_all()
