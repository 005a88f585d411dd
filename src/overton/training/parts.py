"""What SFT and OP-GRPO were made from, each for itself, so that another reward does not cost a finished SFT."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from overton.errors import DataError, RunError
from overton.estimator.models import model_files
from overton.folders import empty_folder
from overton.inputs import outside_hash
from overton.jsonio import read_json, sha256, write_json
from overton.progress import say
from overton.recipe import Recipe
from overton.rundir import RunDir, fingerprint

RECORD = "made_from.json"
DONE = "done"
# What an entry of the record stands for.
_WHERE = {
    "sft": "training.sft.",
    "grpo": "training.grpo.",
    "policy": "policy.",
    "reward": "reward.",
    "inputs": "",
    "grpo_only": "data.grpo_only",
    "start": "the SFT model",
    "server": "the reward server's reward",
    "bf16": "training.bf16",
    "use_liger_kernel": "training.use_liger_kernel",
}


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


def of_server(recipe: Recipe) -> dict[str, Any]:
    """Which reward a server has that scores, as an entry for a part's record; nothing where none scores.

    Raises:
        RunError: it does not answer.
    """
    if not recipe.reward.remote:
        return {}
    from overton.integrations.remote import RemoteReward

    client = RemoteReward(recipe.reward.placement, recipe.reward.token_env, recipe.reward.timeout)
    client.check()
    return {"server": client.identity}


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
    """Clear away a part that was made from something else, or nobody knows from what.

    One that is finished, or has checkpoints, is moved to ``NAME.old-1`` (or the next free number) in the run's folder,
    or on its own disk where a link leads to one; what is left of any other is removed.

    Args:
        part: ``training/sft`` or ``training/grpo``.
        made_from: what it is to be made from, as for :func:`is_made_from`.

    Raises:
        RunError: it cannot be moved, or a file of it not be removed.
    """
    if is_made_from(part, made_from):
        return
    if (part / DONE).exists() or next((part / "checkpoints").glob("*"), None):
        _move_aside(part, made_from)
    else:
        empty_folder(part, RECORD)


def _move_aside(part: Path, made_from: dict[str, Any]) -> None:
    home = part.resolve()  # of a part that is a link: the link stays
    # Not into the stage's folder, whose files are the stage's.
    beside = home.parent if part.is_symlink() else home.parent.parent
    old = next(path for n in count(1) if not (path := beside / f"{part.name}.old-{n}").exists())
    changed = ", ".join(_changes(part, made_from)) or "unknown"
    try:
        home.rename(old)
        home.mkdir()
    except OSError as error:
        raise RunError(
            f"{part}: was made from something else (changed: {changed}) and cannot be moved to {old} "
            f"({error.strerror or error}). Move or remove it, and run the same command again."
        ) from None
    say(f"{part.name} was made from something else (changed: {changed}) and is made again; what was there: {old}")


def _changes(part: Path, made_from: dict[str, Any]) -> Iterator[str]:
    """Keys of the recipe, and files, by which a part's record differs."""
    try:
        record = read_json(part / RECORD)
    except DataError:
        return
    if not isinstance(record, dict):
        return
    for name, value in made_from.items():
        before = record.get(name)
        where = _WHERE.get(name, name)
        if isinstance(value, dict) and isinstance(before, dict):
            yield from (f"{where}{key}" for key in sorted({*value, *before}) if value.get(key) != before.get(key))
        elif before != value:
            yield where


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
