"""Source `valueprism`: situations with values, rights and duties (Sorensen et al. 2024, AAAI).

The rows of https://huggingface.co/datasets/allenai/ValuePrism, subset ``full``, from the hub or from a local copy: a
situation (``situation`` or ``action``), ``vrd`` (Value, Right or Duty), its name (``text``), its ``explanation`` and
its ``valence``. The set is gated; its situations were written by people, the rest by GPT-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overton.data.cells import text_value
from overton.data.rows import TableRow, changed_note, distinct, joined_note, row_of, view_of
from overton.errors import DataError
from overton.spelling import one_spelling
from overton.types import Perspective

DATASET, SUBSET = "allenai/ValuePrism", "full"
_COLUMNS = ("vrd", "text", "explanation", "valence")
_KINDS = ("value", "right", "duty")
_STANCES = {"supports": "+", "support": "+", "opposes": "-", "oppose": "-"}
_AUTHOR = "gpt-4"


def valueprism_rows(
    rows: Sequence[tuple[str, dict[str, Any]]], warnings: list[str], prefix: str = ""
) -> list[TableRow]:
    """Group the rows by situation.

    Args:
        rows: ("FILE, row N", row) each; columns beyond those named above are left aside.
        warnings: what was left out or changed is appended.
        prefix: put in front of each id; the set has none of its own.

    Raises:
        DataError: a column is missing, or a situation, kind or valence cannot be read, or nothing is left.
    """
    read: dict[str, tuple[str, list[Perspective], dict[str, str]]] = {}
    unusable: list[str] = []
    changed: list[str] = []
    for where, row in rows:
        missing = [name for name in _COLUMNS if name not in row]
        missing += [] if {"situation", "action"} & set(row) else ["situation"]
        if missing:
            raise DataError(f"{where}: column {missing[0]!r} is missing; found: {', '.join(map(str, row))}")
        text = text_value(row["situation"] if "situation" in row else row["action"], "situation", where)
        kind = text_value(row["vrd"], "vrd", where).lower()
        if kind not in _KINDS:
            raise DataError(f"{where}: `vrd` must be Value, Right or Duty, found {row['vrd']!r}")
        try:
            stance = _stance(row["valence"])
            view = view_of(row["text"], row["explanation"], stance, None, where, _AUTHOR, changed=changed)
        except DataError as error:
            unusable.append(str(error))
            continue
        _, views, kinds = read.setdefault(one_spelling(text), (text, [], {}))
        views.append(view)
        kinds[view.label] = kind
    if unusable:
        warnings.append(f"{len(unusable)} rows cannot be used and were left out, the first: {unusable[0]}")
    # GPT-4 gave one explanation to a value, a right and a duty alike.
    twice: list[str] = []
    found = [(text, distinct(views, text, twice), kinds) for text, views, kinds in read.values()]
    warnings += joined_note(twice)
    if few := sum(len(views) < 2 for _, views, _ in found):
        warnings.append(f"{few} situations have fewer than two perspectives and were left out")
    warnings += changed_note(changed)
    situations = []
    for number, (text, views, kinds) in enumerate(found, 1):
        if len(views) > 1:
            metadata = {"kinds": {view.label: kinds[view.label] for view in views}}
            situations.append(row_of(f"{prefix}valueprism-{number}", text, views, text, metadata=metadata))
    if not situations:
        raise DataError(f"no situation has two perspectives that can be used{': ' + unusable[0] if unusable else ''}")
    return situations


def _stance(valence: Any) -> str | None:
    """``"Either"``, or nothing, is no stance."""
    return _STANCES.get(str(valence).strip().lower())
