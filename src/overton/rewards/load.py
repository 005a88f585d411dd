"""A reward by name, for places that can only be given a name: environment variables, command lines, plugins."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from overton.data import read_situations, train_situations
from overton.errors import DataError, RecipeError
from overton.jsonio import read_json
from overton.rewards.background import LARGEST_BACKGROUND, Background
from overton.rewards.presets import FILE_KEYS, check_background, make_preset, read_reward_file
from overton.rewards.reward import OvertonReward
from overton.types import Situation

VARIABLE = "OVERTON_REWARD"
_lock = Lock()


def load_reward(
    source: str | Path | None = None, /, *, preset: str | Path | None = None, **overrides: Any
) -> OvertonReward:
    """Load a reward with its estimator.

    Args:
        source: a YAML or JSON file with ``estimator``, ``data_set``, ``preset``, ``overrides`` and ``background``, a
            file of situations with references beside it (all may be left out); or a run directory, its recipe, an
            estimator's folder or a hub name, as for :func:`overton.estimator.open_estimator`. A run directory brings
            the reward it was trained with, before that the section ``reward`` of its recipe; where a file names it as
            ``estimator``, the rest is the file's.
            ``None`` = the environment variable ``OVERTON_REWARD``, and without it the untuned ``all-MiniLM-L6-v2``.
        preset: in place of the one that ``source`` names; of another preset its overrides do not count.
        overrides: fields of the preset; they win over those of the file.

    Raises:
        ModelError: the estimator cannot be had or read.
        RecipeError: the file cannot be read, it is a recipe without a run beside it, an unknown preset or field, or a
            preset that does not go with the background.
        DataError: the background's situations cannot be read, or are too few.
    """
    from overton.estimator import open_estimator

    name, settings = _settings(source if source is not None else os.environ.get(VARIABLE) or None)
    own = settings.get("preset", "overton")
    behind = None
    if preset is None or str(preset) == own:
        preset, overrides = own, settings.get("overrides", {}) | overrides
        behind = settings.get("background")
    check_background(make_preset(preset, overrides), preset, behind is not None)  # told before a model is loaded
    situations = behind.read(behind.file) if behind else []
    estimator, _ = open_estimator(name, data_set=settings.get("data_set", ""))
    background = None
    if behind:
        try:
            background = Background.of(situations, estimator, behind.count)
        except DataError as error:
            raise DataError(f"{behind.file}: {error}") from None
    return OvertonReward(estimator, preset, background=background, **overrides)


@dataclass(frozen=True, slots=True)
class _Behind:
    """Where a background's references come from, and how many are drawn."""

    read: Callable[[Path], list[Situation]]
    file: Path
    count: int


def _settings(source: str | Path | None) -> tuple[str | Path | None, dict[str, Any]]:
    """The name of the estimator, and the settings that come with it."""
    if source is None:
        return None, {}
    path = Path(source).expanduser()
    if path.suffix not in (".yaml", ".yml", ".json"):
        return source, _of_run(path)
    settings, of_recipe = read_reward_file(path)
    if of_recipe:
        settings = _with_train(settings, path.parent)
    elif "background" in settings:
        file = path.parent / Path(settings["background"]).expanduser()
        settings["background"] = _Behind(read_situations, file, LARGEST_BACKGROUND)
    preset = path.parent / Path(settings.get("preset", "")).expanduser()
    if preset.suffix and preset.is_file():  # beside the file, as the estimator may be
        settings["preset"] = str(preset)
    try:
        make_preset(settings.get("preset", "overton"), settings.get("overrides", {}))
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    name = settings.get("estimator")
    if name is not None:
        beside = path.parent / name
        return beside if beside.is_dir() else name, settings
    if not of_recipe:
        return None, settings
    if not (path.parent / "estimator" / "model").is_dir():
        raise RecipeError(
            f"{path}: a recipe, and there is no estimator of its run beside it ({path.parent / 'estimator'}); name the "
            "run directory, or write a settings file with the key `estimator`"
        )
    return path.parent, _of_run(path.parent) if path.name == "recipe.yaml" else settings


def _of_run(run: Path) -> dict[str, Any]:
    """What the run was trained with; where it was not, what its recipe says, which the last command wrote."""
    record = run / "training" / "grpo" / "made_from.json"
    if record.is_file():
        try:
            own = read_json(record)["reward"]
            if "://" in own.get("placement", ""):
                warnings.warn(
                    f"{run} was trained with the reward of the server {own['placement']}, whose preset is not known "
                    "here; preset and overrides are those of the recipe",
                    stacklevel=2,
                )
            return _with_train({key: own[key] for key in FILE_KEYS if own.get(key) is not None}, run)
        except (DataError, KeyError, TypeError, AttributeError):  # of an older version
            pass
    recipe = run / "recipe.yaml"
    return _with_train(read_reward_file(recipe)[0], run) if recipe.is_file() else {}


def _with_train(settings: dict[str, Any], run: Path) -> dict[str, Any]:
    """Settings of a recipe, whose background is a number of references of the run's training situations."""
    count = settings.pop("background", 0)
    if not count:
        return settings
    return {**settings, "background": _Behind(train_situations, run / "data" / "train.jsonl", count)}


def shared_reward() -> OvertonReward:
    """The process's one reward of ``OVERTON_REWARD``, loaded on first use; safe to call from threads."""
    with _lock:
        return _load_named(os.environ.get(VARIABLE) or None)


@lru_cache(maxsize=1)
def _load_named(source: str | None) -> OvertonReward:
    return load_reward(source)
