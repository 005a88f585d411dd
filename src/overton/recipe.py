"""The recipe: one YAML file whose sections are the stages, typed and validated.

``load_recipe`` turns a file and ``--set`` overrides into a :class:`Recipe`; every mistake becomes one
:class:`~overton.errors.RecipeError` that names the key's path and the nearest known key.
"""

from __future__ import annotations

import difflib
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from overton.errors import RecipeError, nearest
from overton.sections import DataSection, EstimatorSection, ReportSection
from overton.sections_evaluation import EvaluationSection
from overton.sections_generation import GenerationSection
from overton.sections_model import LlmSection, Section
from overton.sections_training import PolicySection, RewardSection, TrainingSection
from overton.strict_yaml import read_yaml

# Files of rows that are taken for a recipe by mistake.
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


class Recipe(Section):
    """A whole run. Sections are the stages (``policy`` and ``reward`` belong to training)."""

    name: str = Field(
        min_length=1,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="of the run: letters, digits and ._-; the file's name when left out",
    )
    # numpy takes 32 bits, and libraries add the number of a process or of a try.
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of everything random")
    threads: int = Field(0, ge=0, le=4096, description="CPU threads for torch; 0 = let torch choose")
    data: DataSection = Field(default_factory=DataSection)
    llm: LlmSection = Field(default_factory=LlmSection)
    estimator: EstimatorSection = Field(default_factory=EstimatorSection)
    policy: PolicySection = Field(default_factory=PolicySection)
    reward: RewardSection = Field(default_factory=RewardSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    generation: GenerationSection = Field(default_factory=GenerationSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    report: ReportSection = Field(default_factory=ReportSection)

    @model_validator(mode="after")
    def _check_parts(self) -> Recipe:
        """Names of data sets, which would otherwise be looked for when the estimator is trained, and after."""
        parts, calibrated = self.data.parts, self.estimator.train_on != "nothing"
        named = {"estimator.epoch_shares": list(self.estimator.epoch_shares)}
        named |= {"reward.data_set": [self.reward.data_set] if self.reward.data_set and calibrated else []}
        for key, names in named.items():
            if parts and (unknown := [name for name in names if name not in parts]):
                raise ValueError(f"{key}: `data.parts` has no {unknown[0]}; {nearest(unknown[0], parts)}")
        return self


def load_recipe(path: Path, overrides: typing.Sequence[str] = ()) -> Recipe:
    """Read, override and validate a recipe.

    Args:
        path: YAML file.
        overrides: ``KEY.PATH=VALUE`` strings; the value is read as YAML.

    Raises:
        RecipeError: file missing or not YAML, a key twice, unknown key, wrong type, malformed override.
    """
    if path.suffix.lower() in _TABLES and path.is_file():
        raise RecipeError(
            f"{path}: a recipe (YAML) is wanted, this is a table. Name it in one, data: {{source: table, path: "
            f"{path.name}}}; `overton init` writes a recipe"
        )
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe. `overton init` writes one.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read as YAML in UTF-8: {error}") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, found {type(raw).__name__}")
    raw.setdefault("name", path.stem)
    _fill_sections(raw, Recipe)
    for item in overrides:
        override(raw, item)
    return parse_recipe(raw, str(path))


def parse_recipe(raw: dict[str, Any], where: str = "recipe") -> Recipe:
    """Validate a recipe given as a dict; errors as in :func:`load_recipe`."""
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(e) for e in error.errors()]
        raise RecipeError(f"{where}: " + "\n".join(lines)) from None


def dump_recipe(recipe: Recipe) -> str:
    """The whole recipe with every default, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _fill_sections(raw: dict[str, Any], model: type[BaseModel]) -> None:
    """A section whose keys are all commented out reads as nothing in YAML; it means the defaults."""
    for name, field in model.model_fields.items():
        section, named = field.annotation, typing.get_origin(field.annotation) is dict
        if name not in raw or not (named or (isinstance(section, type) and issubclass(section, Section))):
            continue
        if raw[name] is None:
            raw[name] = {}
        inner = _section_in(section)
        if inner is None or not isinstance(raw[name], dict):
            continue
        if named:  # sections under names of the user's own, such as judges
            raw[name] = {own: {} if part is None else part for own, part in raw[name].items()}
        for part in raw[name].values() if named else [raw[name]]:
            if isinstance(part, dict):
                _fill_sections(part, inner)


def override(raw: dict[str, Any], item: str, example: str = "estimator.epochs=2") -> None:
    """Write one ``KEY.PATH=VALUE`` into a recipe that is still a dict; no value is the empty text.

    Args:
        raw: is changed.
        item: the pair.
        example: of another, for the message of one that is malformed.

    Raises:
        RecipeError: it is not of that form, the value is not YAML, or a part of the path is a value.
    """
    key, sep, text = item.partition("=")
    if not sep or not key.strip():
        raise RecipeError(f"--set {item!r}: write KEY=VALUE, for example --set {example}")
    try:
        # A shell hands KEY='' over without its marks, and YAML would read nothing as null.
        value = read_yaml(text, f"--set {item!r}") if text.strip() else ""
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {item!r}: the value is not YAML: {error}") from None
    node, parts = raw, key.strip().split(".")
    if not all(parts):
        raise RecipeError(f"--set {item!r}: a part of {key.strip()} is empty; for example --set {example}")
    while parts:
        # A name of the user's own may hold dots, as that of a judge called gpt-4.1.
        count = next((n for n in range(len(parts), 1, -1) if ".".join(parts[:n]) in node), 1)
        part, parts = ".".join(parts[:count]), parts[count:]
        if not parts:
            node[part] = value
            return
        child = node.get(part, {})
        if isinstance(child, list):
            raise RecipeError(f"--set {item!r}: {part} is a list, which is given whole: --set '...{part}=[...]'")
        if not isinstance(child, dict):
            raise RecipeError(f"--set {item!r}: {part} is a value, not a section")
        node[part] = dict(child)  # an anchor's mapping is one object in all its places
        node = node[part]


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"] if not str(part).startswith("<")]
    path = ".".join(location) or "recipe"
    if error["type"] != "extra_forbidden":
        message = error["msg"].removeprefix("Value error, ")
        given = error.get("input")
        # A list may hold one anchor many times over, and so on inwards: written out it would fill the memory.
        shown = "" if isinstance(given, dict | list) else f" (given: {given!r})"
        return f"{path}: {message}{shown}"
    return f"{path}: unknown key; {_meant(location)}"


def _meant(location: list[str]) -> str:
    """The nearest name beside an unknown key, else the places that have this very key, else all names beside it."""
    *above, key = location
    beside = _keys_at(above)
    names = {name.lower(): name for name in beside}
    near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.75)
    if not near:
        for depth in range(len(above), -1, -1):
            if found := list(_places_of(key, _section_at(above[:depth]), above[:depth])):
                return f"did you mean {' or '.join(found[:3])}?"
        near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.4)
    return f"did you mean {'.'.join([*above, names[near[0]]])}?" if near else f"known keys: {', '.join(beside)}"


def _places_of(key: str, model: type[BaseModel] | None, above: list[str]) -> typing.Iterator[str]:
    """Paths of a key in a section and the sections below it."""
    for name, field in model.model_fields.items() if model else ():
        if name == key.lower():
            yield ".".join([*above, name])
        origin = typing.get_origin(field.annotation)
        inner = [f"{name}[]"] if origin is list else [name, "NAME"] if origin is dict else [name]
        yield from _places_of(key, _section_in(field.annotation), [*above, *inner])


def _keys_at(location: list[str]) -> list[str]:
    model = _section_at(location)
    return list(model.model_fields) if model else []


def _section_at(location: list[str]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Recipe
    for part in location:
        # The number of a list's item, or a name of the user's own, leads no further down.
        if model is not None and part in model.model_fields:
            model = _section_in(model.model_fields[part].annotation)
    return model


def _section_in(annotation: typing.Any) -> type[BaseModel] | None:
    """The section that a type is, or holds: in a list, beside other types, or annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section_in(part) for part in typing.get_args(annotation))
    return next((section for section in found if section), None)
