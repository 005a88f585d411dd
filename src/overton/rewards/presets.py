"""Presets of the reward by name or by file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from overton.errors import RecipeError, nearest
from overton.rewards.bounds import LARGEST
from overton.rewards.op_grpo import OpGrpoPreset
from overton.rewards.overton import OvertonPreset
from overton.rewards.quality_diversity import QualityDiversityPreset

Preset = OpGrpoPreset | OvertonPreset | QualityDiversityPreset
PRESETS: dict[str, type[Preset]] = {
    "overton": OvertonPreset,
    "op-grpo": OpGrpoPreset,
    "quality-diversity": QualityDiversityPreset,
}
FILE_KEYS = ("preset", "overrides", "estimator", "data_set", "background")


def make_preset(name: str | Path, overrides: dict[str, Any]) -> Preset:
    """The preset with some fields replaced.

    Args:
        name: of the preset, or a file as for :func:`read_reward_file`.
        overrides: fields of the preset; they win over those of the file.

    Raises:
        RecipeError: unknown preset or field, a value of the wrong type or out of range, or a file that cannot be
            read.
    """
    where = "reward"
    if not isinstance(name, str | Path):
        raise RecipeError(f"reward.preset: a name is wanted, found {name!r}")
    if str(name) not in PRESETS and (isinstance(name, Path) or Path(name).suffix in (".yaml", ".yml", ".json")):
        where = str(name)
        found, _ = read_reward_file(Path(name))
        name, overrides = found.get("preset", "overton"), {**found.get("overrides", {}), **overrides}
    name = str(name)
    if name not in PRESETS:
        raise RecipeError(
            f"{where}.preset: unknown preset {name!r}; known: {', '.join(PRESETS)}, or a .yaml or .json file"
        )
    defaults = {f.name: f.default for f in dataclasses.fields(PRESETS[name])}
    for key, value in overrides.items():
        if key not in defaults:
            beside = f"`{key}` is a key of a settings file, beside `overrides`"
            hint = beside if key in FILE_KEYS else nearest(key, sorted(defaults))
            raise RecipeError(f"{where}.overrides.{key}: preset {name!r} has no such field; {hint}")
        _check(f"{where}.overrides.{key}", defaults[key], value)
    try:
        return PRESETS[name](**overrides)
    except RecipeError as error:
        if where == "reward":
            raise
        raise RecipeError(f"{where}: {error}") from None


def check_background(preset: Preset, name: str | Path, given: bool) -> None:
    """See that a background and the preset go together.

    Args:
        preset: of the reward.
        name: what it was made from.
        given: whether the reward has a background.

    Raises:
        RecipeError: the preset looks at no background, or its file names one that the reward lacks.
    """
    if given and not isinstance(preset, OvertonPreset):
        raise RecipeError(f"reward: preset {str(name)!r} looks at no background; leave it out")
    if given or str(name) in PRESETS or not getattr(preset, "background_weight", 0):
        return
    if read_reward_file(Path(name))[0].get("background"):
        raise RecipeError(
            f"{name}: of a preset's file `preset` and `overrides` are read, and its `background` is not; name the file "
            "itself for load_reward, give `background` beside the preset, or set background_weight to 0"
        )


def read_reward_file(path: Path) -> tuple[dict[str, Any], bool]:
    """Settings of a reward: ``preset`` and ``overrides``, ``estimator`` and ``data_set``, ``background``.

    Args:
        path: YAML or JSON with those keys, or a recipe, whose section ``reward`` is taken.

    Returns:
        What the file has of them, and whether it is a recipe.

    Raises:
        RecipeError: the file is missing, unreadable, or has another key, a key twice or a value of the wrong type.
    """
    import yaml

    from overton.strict_yaml import read_yaml

    try:
        raw = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the settings of the reward ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: neither YAML nor JSON ({' '.join(str(error).split())})") from None
    recipe = isinstance(raw, dict) and "reward" in raw
    section = raw["reward"] if recipe else raw
    if not isinstance(section, dict):
        raise RecipeError(f"{path}: keys are wanted ({', '.join(FILE_KEYS)}), found {type(section).__name__}")
    known: tuple[str, ...] = FILE_KEYS
    above = ""
    if recipe:
        from overton.sections_training import RewardSection  # loads pydantic, which a reward does without

        known, above = tuple(RewardSection.model_fields), "reward."
    if unknown := [str(key) for key in section if key not in known]:
        raise RecipeError(f"{path}: unknown key {above}{unknown[0]}; {nearest(unknown[0], known)}")
    # A recipe has a section `estimator`; the others are keys of the section `reward` there.
    beside = [key for key in FILE_KEYS if recipe and key in raw and not isinstance(raw[key], dict | None)]
    if beside:
        raise RecipeError(
            f"{path}: `reward` makes this a recipe, where `{beside[0]}: {raw[beside[0]]}` has no place; for a settings "
            f"file write {', '.join(FILE_KEYS)} without `reward` above them"
        )
    if not isinstance(section.get("overrides", {}), dict | None):
        raise RecipeError(f"{path}: `overrides` must hold fields of the preset, found {section['overrides']!r}")
    for key in section.get("overrides") or ():
        if not isinstance(key, str):
            raise RecipeError(f"{path}: `overrides` must hold fields of the preset, found {key!r}")
    for key in ("preset", "estimator", "data_set"):
        if not isinstance(section.get(key, ""), str | None):
            raise RecipeError(f"{path}: `{key}` must be a name, found {section[key]!r}")
    behind, wanted = section.get("background"), "a number of references" if recipe else "a file of situations"
    if behind is not None and (isinstance(behind, bool) or not isinstance(behind, int if recipe else str)):
        raise RecipeError(f"{path}: `background` must be {wanted}, found {behind!r}")
    return {key: section[key] for key in FILE_KEYS if section.get(key) is not None}, recipe


def _check(where: str, default: Any, value: Any) -> None:
    if isinstance(default, str):
        if not isinstance(value, str):
            raise RecipeError(f"{where}: a name is wanted, found {value!r}")
        return
    # NaN is below nothing, and a whole number may be too long for a float.
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
    if not number and not (value is None and default is None):
        raise RecipeError(f"{where}: a number is wanted, found {value!r}")
