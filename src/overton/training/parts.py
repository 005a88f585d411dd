"""What SFT and OP-GRPO were made from, each for itself, so that another reward does not cost a finished SFT."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.estimator.models import model_files
from overton.folders import empty_folder
from overton.inputs import outside_hash
from overton.jsonio import read_json, sha256, write_json
from overton.recipe import Recipe
from overton.rundir import RunDir, fingerprint

RECORD = "made_from.json"
DONE = "done"


def sft_made_from(recipe: Recipe, run: RunDir) -> dict[str, Any]:
    """All that decides the weights of SFT."""
    inputs = {"data/sft.jsonl": sha256(run.path / "data" / "sft.jsonl")}
    for folder in recipe.policy.outside:
        if folder.exists():
            inputs["policy.model"] = outside_hash(folder, run.path)
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
    policy = recipe.policy.deciding()
    if any(folder.exists() for folder in recipe.policy.outside):
        policy["model"] = "a folder"  # its files decide, and not how its path is written
    return {"seed": recipe.seed, "policy": policy, **recipe.training.precision}


def is_made_from(part: Path, made_from: dict[str, Any]) -> bool:
    """Whether a part's record says this of what it was made from; what else it holds does not count."""
    try:
        record = read_json(part / RECORD)
    except DataError:
        return False
    return all(name in record and record[name] == value for name, value in made_from.items())


def remove_other(part: Path, made_from: dict[str, Any]) -> None:
    """Remove a part that was made from something else, or nobody knows from what.

    Args:
        part: ``training/sft`` or ``training/grpo``.
        made_from: what it is to be made from, as for :func:`is_made_from`.

    Raises:
        RunError: a file of it cannot be removed.
    """
    if not is_made_from(part, made_from):
        (part / DONE).unlink(missing_ok=True)  # first: what a kill leaves of the rest must not count as done
        empty_folder(part)


def begin(part: Path, made_from: dict[str, Any]) -> None:
    """Record what a part is made from, in place of anything made from something else."""
    remove_other(part, made_from)
    write_json(part / RECORD, made_from)


def is_finished(part: Path) -> bool:
    """Whether the part's model is there as it was saved; if not, the part no longer says that it is done.

    Files that came to lie beside it do not count.
    """
    try:
        saved = read_json(part / DONE)
        if saved and all(sha256(part / "model" / name) == digest for name, digest in saved.items()):
            return True
    except (DataError, OSError, AttributeError):
        pass
    (part / DONE).unlink(missing_ok=True)
    return False


def weights_of(part: Path) -> str:
    """:func:`~overton.estimator.models.model_hash` of a finished part's model, as it was saved."""
    return fingerprint(read_json(part / DONE))


def finish(part: Path) -> None:
    """Mark a part as done, with the hashes of its model's files."""
    if not (part / DONE).exists():
        write_json(part / DONE, model_files(part / "model"))
    # Checkpoints are only for resuming; the saved model is what later stages read. They go last, since a kill between
    # the two must not take both.
    shutil.rmtree(part / "checkpoints", ignore_errors=True)
