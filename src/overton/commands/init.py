"""``overton init``: a recipe with every key, written from the recipe's own types, so never out of date."""

from __future__ import annotations

import json
import re
import textwrap
import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from overton.errors import RunError
from overton.jsonio import write_text
from overton.recipe import Recipe
from overton.sections_model import Section

_WIDTH = 100


def write_recipe(path: Path) -> None:
    """Write a commented recipe with the defaults.

    Args:
        path: a new file; folders are made.

    Raises:
        RunError: the file exists, or cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise RunError(f"{path}: exists already and was left as it is. Give another name: overton init other.yaml")
    write_text(path, recipe_text(_name_from(path.stem)))


def recipe_text(name: str) -> str:
    """A recipe in YAML, each key with its meaning, its choices and its default.

    Args:
        name: the run's name.
    """
    head = [
        "# A recipe of Overton: one file, one run. Sections are stages. Every key stands here with its",
        "# default, and a key you leave out keeps it.",
        "# Run it:                       overton run FILE",
        "# Change one key for one run:   overton run FILE --set estimator.epochs=2",
        "# The learning rates are for a pretrained model: name one in policy.model, or begin with a copy of",
        "# recipes/quickstart.yaml, whose rates suit a policy from nothing.",
        "",
    ]
    return "\n".join(head + _section_lines(Recipe, {"name": name}, 0)) + "\n"


def _section_lines(section: type[Section], given: dict[str, Any], depth: int) -> list[str]:
    lines: list[str] = []
    for name, field in section.model_fields.items():
        indent = "  " * depth
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            if not lines or lines[-1]:
                lines.append("")
            lines += _comment((annotation.__doc__ or "").strip().splitlines()[0], indent)
            lines += [f"{indent}{name}:", *_section_lines(annotation, {}, depth + 1)]
            continue
        if comment := _describe(field):
            lines += _comment(comment, indent)
        value = given.get(name, field.get_default(call_default_factory=True))
        lines.append(f"{indent}{name}: {_yaml(value)}")
    return lines


def _describe(field: FieldInfo) -> str:
    parts = [field.description or "", _choices(field.annotation), _limits(field)]
    return "; ".join(part for part in parts if part)


def _choices(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "one of: " + ", ".join(map(str, typing.get_args(annotation)))
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) in (list, typing.Union):
        inner = (_choices(a) for a in typing.get_args(annotation))
        return next((text.replace("one of", "any of") for text in inner if text), "")
    return ""


def _limits(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = []
    for rule in field.metadata:
        found += [f"{word} {getattr(rule, key)}" for key, word in words.items() if hasattr(rule, key)]
    return ", ".join(found)


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _yaml(value: Any) -> str:
    if isinstance(value, float):
        # PyYAML reads 1e-4 as text: a number with an exponent needs a point in front of it.
        text = repr(value)
        return re.sub(r"^(-?\d+)e", r"\1.0e", text)
    return json.dumps(value, ensure_ascii=False, default=str)


def _name_from(stem: str) -> str:
    """The file's name as far as a run may be called so."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-") or "recipe"
