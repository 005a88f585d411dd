"""What SFT and OP-GRPO were made from, each for itself, so that another reward does not cost a finished SFT."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.estimator.models import model_hash
from overton.folders import empty_folder
from overton.inputs import outside_hash
from overton.recipe import Recipe
from overton.rundir import RunDir, read_json, sha256, write_json, write_text

RECORD = "made_from.json"
DONE = "done"


def sft_made_from(recipe: Recipe, run: RunDir) -> dict[str, Any]:
    """All that decides the weights of SFT."""
    inputs = {"data/sft.jsonl": sha256(run.path / "data" / "sft.jsonl")}
    for folder in recipe.policy.outside:
        if folder.exists():
            inputs[str(folder)] = outside_hash(folder, run.path)
    return {**_both(recipe), "sft": recipe.training.sft.deciding(), "inputs": inputs}


def grpo_made_from(recipe: Recipe, run: RunDir) -> dict[str, Any]:
    """All that decides the weights of OP-GRPO, but for the model that it starts from."""
    names = ["data/train.jsonl"]
    if recipe.data.grpo_only:  # situations that SFT has not answered
        names.append("data/sft.jsonl")
    if not recipe.reward.remote:
        names += ["estimator/model", "estimator/calibration.json"]
    return {
        **_both(recipe),
        "grpo": recipe.training.grpo.deciding(),
        "reward": recipe.reward.deciding(),
        "grpo_only": recipe.data.grpo_only,
        "inputs": {name: sha256(run.path / name) for name in names},
    }


def _both(recipe: Recipe) -> dict[str, Any]:
    return {"seed": recipe.seed, "policy": recipe.policy.deciding(), **recipe.training.precision}


def remove_other(part: Path, made_from: dict[str, Any]) -> None:
    """Remove a part that was made from something else, or nobody knows from what.

    Args:
        part: ``training/sft`` or ``training/grpo``.
        made_from: what it is to be made from; what else its record holds does not count.

    Raises:
        RunError: a file of it cannot be removed.
    """
    try:
        record = read_json(part / RECORD)
    except DataError:
        record = {}
    if any(name not in record or record[name] != value for name, value in made_from.items()):
        (part / DONE).unlink(missing_ok=True)  # first: what a kill leaves of the rest must not count as done
        empty_folder(part)


def begin(part: Path, made_from: dict[str, Any]) -> None:
    """Record what a part is made from, in place of anything made from something else."""
    remove_other(part, made_from)
    write_json(part / RECORD, made_from)


def is_finished(part: Path) -> bool:
    """Whether the part's model is there as it was saved; if not, the part no longer says that it is done."""
    try:
        if (part / DONE).read_text(encoding="utf-8").strip() == model_hash(part / "model"):
            return True
    except (OSError, UnicodeDecodeError):
        pass
    (part / DONE).unlink(missing_ok=True)
    return False


def finish(part: Path) -> None:
    """Mark a part as done, with the hash of its model."""
    if not (part / DONE).exists():
        write_text(part / DONE, model_hash(part / "model") + "\n")
    # Checkpoints are only for resuming; the saved model is what later stages read. They go last, since a kill between
    # the two must not take both.
    shutil.rmtree(part / "checkpoints", ignore_errors=True)
