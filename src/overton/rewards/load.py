"""A reward by name, for places that can only be given a name: environment variables, command lines, plugins."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from overton.rewards.presets import read_reward_file
from overton.rewards.reward import OvertonReward

VARIABLE = "OVERTON_REWARD"
_lock = Lock()


def load_reward(source: str | Path | None = None, **overrides: Any) -> OvertonReward:
    """Load a reward with its estimator.

    Args:
        source: a YAML or JSON file with ``estimator``, ``data_set``, ``preset`` and ``overrides`` (all may be
            left out); or a run directory, an estimator's folder or a hub name, as for
            :func:`overton.estimator.open_estimator` (a run directory brings its recipe's preset). ``None`` =
            the environment variable ``OVERTON_REWARD``, and without it the untuned ``all-MiniLM-L6-v2``.
        overrides: fields of the preset; they win over those of the file.

    Raises:
        ModelError: the estimator cannot be had or read.
        RecipeError: the file cannot be read, or an unknown preset or field.
    """
    from overton.estimator import open_estimator

    name = source if source is not None else os.environ.get(VARIABLE) or None
    settings: dict[str, Any] = {}
    if name is not None:
        path = Path(name).expanduser()
        if path.suffix in (".yaml", ".yml", ".json"):
            settings = read_reward_file(path)
            name = settings.get("estimator")
            if name is not None and not Path(name).is_absolute() and (path.parent / name).is_dir():
                name = path.parent / name  # beside the file
        elif (path / "recipe.yaml").is_file():
            settings = read_reward_file(path / "recipe.yaml")
    estimator, _ = open_estimator(name, data_set=settings.get("data_set", ""))
    return OvertonReward(estimator, settings.get("preset", "overton"), **{**settings.get("overrides", {}), **overrides})


def shared_reward() -> OvertonReward:
    """The process's one reward of ``OVERTON_REWARD``, loaded on first use; safe to call from threads."""
    with _lock:
        return _load_named(os.environ.get(VARIABLE) or None)


@lru_cache(maxsize=1)
def _load_named(source: str | None) -> OvertonReward:
    return load_reward(source)
