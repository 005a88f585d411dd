"""Reference perspectives in the forms that trainers' data sets carry them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from overton.errors import DataError
from overton.segment import opening_label, strip_label
from overton.types import Group, Perspective


def parse_references(value: Any, where: str = "references") -> tuple[Perspective, ...]:
    """References of one situation as perspectives.

    Args:
        value: a list whose items are strings (a leading ``In the perspective of LABEL,`` becomes the label),
            mappings with ``explanation`` (and perhaps ``label``), or :class:`~overton.types.Perspective`; or
            such a list as JSON text, the way it travels through Parquet columns and over HTTP. Arrays of numpy
            count as lists, and a mapping of columns, which ``Sequence({...})`` of ``datasets`` gives, as its rows.
        where: names the place in messages.

    Raises:
        DataError: another form, or an empty reference; the message says which.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise DataError(
                f"{where}: a list of references is wanted (or one as JSON text), found the text {value[:60]!r}"
            ) from None
    if hasattr(value, "tolist"):  # numpy: what a Parquet list column becomes
        value = value.tolist()
    if isinstance(value, Mapping) and "explanation" in value:
        value = _rows(value, where)
    if isinstance(value, str):
        raise DataError(
            f"{where}: a list of references is wanted, found JSON of the text {value[:60]!r}; put one reference into "
            "a list too, and encode once"
        )
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
        keys = f" with the keys {_keys(value)}" if isinstance(value, Mapping) else ""
        raise DataError(f"{where}: a list of references is wanted, found {type(value).__name__}{keys}")
    return tuple(_one(item, f"{where}[{index}]") for index, item in enumerate(value))


def _rows(columns: Mapping[str, Any], where: str) -> Any:
    """Rows of columns of one length; a single row's values as they are, for the message about them."""
    lists = {name: c.tolist() if hasattr(c, "tolist") else c for name, c in columns.items()}
    if any(not isinstance(column, list | tuple) for column in lists.values()):
        return columns
    if len({len(column) for column in lists.values()}) > 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in lists.items())
        raise DataError(f"{where}: columns of one length are wanted, found {sizes}")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _one(item: Any, where: str) -> Perspective:
    if isinstance(item, Perspective):
        found = item
    elif isinstance(item, str):
        found = Perspective(opening_label(item), strip_label(item).strip())
    elif isinstance(item, Mapping):
        label, explanation = item.get("label"), item.get("explanation")
        if not isinstance(explanation, str):
            raise DataError(f"{where}: the text `explanation` is missing; found the keys {_keys(item)}")
        if label is not None and not isinstance(label, str):
            raise DataError(f"{where}: `label` must be a text, found {type(label).__name__}")
        found = Perspective(label or "", explanation)
    else:
        raise DataError(f"{where}: a text or a mapping with `explanation` is wanted, found {type(item).__name__}")
    if not found.explanation.strip():
        raise DataError(f"{where}: the reference is empty")
    return found


def _keys(item: Mapping[Any, Any]) -> list[str]:
    """Some of its keys, for a message: a server sends it back, and a request may hold millions."""
    return [key[:40] for key in sorted(map(str, item))[:8]]


def checked_groups(groups: Sequence[Group]) -> list[Group]:
    """Groups that can be scored; references that are texts become perspectives.

    Raises:
        DataError: a group alone, something else than groups, a prompt that is no text, answers that are one text,
            references of another form (:func:`parse_references`), or ``finished`` of another length than the answers.
    """
    if isinstance(groups, Group):
        raise DataError("`score` takes a list of groups, found one; put it into a list")
    found = []
    for group in groups:
        if not isinstance(group, Group):
            raise DataError(f"`score` takes groups (overton.types.Group), found {type(group).__name__}")
        if not isinstance(group.prompt, str):
            kind = type(group.prompt).__name__
            raise DataError(f"`prompt` of a group must be text, found {kind}; of messages give the last one's content")
        if isinstance(group.answers, str):
            raise DataError("`answers` of a group is one text; put it into a tuple, as (text,)")
        if isinstance(group.references, str) or not all(isinstance(p, Perspective) for p in group.references):
            group = replace(group, references=parse_references(group.references))
        if group.finished is not None and len(group.finished) != len(group.answers):
            raise DataError(f"`finished` has {len(group.finished)} items for {len(group.answers)} answers of a group")
        found.append(group)
    return found
