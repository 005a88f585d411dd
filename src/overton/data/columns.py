"""Columns of a table: which of its three forms it has, what `data.columns` renames, what is left out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from overton.data.cells import check_columns, is_nan
from overton.errors import DataError, nearest

SITUATION_COLUMNS = ("id", "text", "perspectives", "metadata")
PERSPECTIVE_COLUMNS = ("id", "situation", "label", "explanation", "cluster", "stance")
ANSWER_COLUMNS = ("id", "situation", "answer")
_REQUIRED = {
    SITUATION_COLUMNS: SITUATION_COLUMNS[:3],
    PERSPECTIVE_COLUMNS: PERSPECTIVE_COLUMNS[:4],
    ANSWER_COLUMNS: ANSWER_COLUMNS[1:],
}
_OURS = tuple(dict.fromkeys([*PERSPECTIVE_COLUMNS, *ANSWER_COLUMNS, *SITUATION_COLUMNS]))
# Cells of these may be missing, the others' may not.
_MAY_LACK = ("cluster", "stance", "metadata")
# What data frames call the column of their row numbers.
ROW_NUMBERS = re.compile(r"(index|Unnamed: \d+|__index_level_\d+__)?")

Rows = list[tuple[str, dict[str, Any]]]


def our_columns(
    rows: Rows,
    columns: Mapping[str, str],
    source: Path | str,
    only_ours: bool,
    warnings: list[str],
    *,
    labels: bool = True,
) -> tuple[Rows, tuple[str, ...]]:
    """Rows with our names alone.

    Args:
        rows: ("FILE, row N", row) each.
        columns: our name -> your column. One column may have two of our names.
        source: file or data set, for messages.
        only_ours: refuse columns that are not ours, which may be ours misspelt. Row numbers of data frames are left out
            even so.
        warnings: which columns were left out is appended.
        labels: whether a row a perspective needs `label`.

    Returns:
        The rows, and the columns of their form: one of the constants above.

    Raises:
        DataError: no rows, an unknown name in ``columns``, a missing or unknown column, a cell that is NaN and needed.
    """
    _check_names(columns)
    if not rows:
        raise DataError(f"{source}: the file holds no rows")
    renamed = [(where, *_renamed(row, columns, where)) for where, row in rows]
    _, named, others = renamed[0]
    form = _form(named) or _form(others)
    if form is SITUATION_COLUMNS:
        for _, *halves in renamed:
            _call_text(*halves)
    if form is None or (form is PERSPECTIVE_COLUMNS and "explanation" not in {*named, *others}):
        ours = [
            f"{name!r} is written {name.lower()!r}"
            for name in rows[0][1]
            if name.lower() in _OURS and not name.islower()
        ]
        raise DataError(
            f"{source}: no column `explanation`, `answer` or `perspectives`; found: {', '.join(sorted(rows[0][1]))}."
            f"{' ' + ', '.join(ours) + '.' if ours else ''}"
            " Rename yours in the file, or name it in a recipe: data.columns: {explanation: YOUR COLUMN}. A table has a"
            " row a perspective (id, situation, label, explanation, maybe cluster and stance), a row an answer"
            " (situation, answer) or a row a situation (id, text, perspectives). Labelled pairs of sentences are none"
            " of these: give sentences that say the same one `cluster`"
        )
    may_lack = (*_MAY_LACK, *(() if labels else ("label",)))
    required = tuple(name for name in _REQUIRED[form] if name not in may_lack)
    found, left_out = [], dict[str, str]()
    for where, named, others in renamed:
        row = {**{name: value for name, value in others.items() if name in form}, **named}
        if missing := [name for name in required if name not in row and name not in others]:
            raise DataError(
                f"{where}: column {missing[0]!r} is missing; found: {', '.join(map(str, row | others)) or 'nothing'}. "
                f"Rename yours in the file, or name it in a recipe: data.columns: {{{missing[0]}: YOUR COLUMN}}"
            )
        check_columns(row | others, required=required, known=(*row, *others), where=where)
        for name in others:
            if name in left_out or (name in row and name not in named):
                continue
            near = difflib.get_close_matches(name, [known for known in form if known not in row], 1, 0.75)
            shown = f"{name!r} (did you mean {near[0]}?)" if near else repr(name)
            if only_ours and not ROW_NUMBERS.fullmatch(name):
                raise DataError(
                    f"{where}: unknown column {shown}; known columns: {', '.join(form)}. Rename it or leave it out; "
                    "where data.columns names some of yours, all others are left out"
                )
            left_out[name] = shown
        found.append((where, {name: _present(value, name, where, may_lack) for name, value in row.items()}))
    if left_out:
        warnings.append(f"columns that were left out: {', '.join(left_out.values())}")
    return found, form


def _check_names(columns: Mapping[str, str]) -> None:
    for ours in columns:
        if ours not in _OURS:
            raise DataError(f"data.columns.{ours}: unknown name; {nearest(ours, _OURS, 'known names')}")


def _renamed(row: dict[str, Any], columns: Mapping[str, str], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cells that ``columns`` names, under our names, and all others under theirs."""
    for ours, theirs in columns.items():
        if theirs not in row:
            raise DataError(f"{where}: column {theirs!r} (data.columns.{ours}) is missing; found: {', '.join(row)}")
    named = {ours: row[theirs] for ours, theirs in columns.items()}
    used = set(columns.values())
    others = {name: value for name, value in row.items() if name not in used}
    if "prompt" in others and "situation" not in named and "situation" not in others:
        others["situation"] = others.pop("prompt")
    return named, others


def _call_text(named: dict[str, Any], others: dict[str, Any]) -> None:
    """In rows with all perspectives the situation is called ``text``; there ``situation`` is taken as that."""
    if "text" not in named and "text" not in others:
        half = named if "situation" in named else others
        if "situation" in half:
            half["text"] = half.pop("situation")


def _form(names: Iterable[str]) -> tuple[str, ...] | None:
    forms = {
        "perspectives": SITUATION_COLUMNS,
        "answer": ANSWER_COLUMNS,
        "label": PERSPECTIVE_COLUMNS,
        "explanation": PERSPECTIVE_COLUMNS,
    }
    return next((form for mark, form in forms.items() if mark in names), None)


def _present(value: Any, name: str, where: str, may_lack: tuple[str, ...]) -> Any:
    if not is_nan(value):
        return value
    if name in may_lack:
        return None
    raise DataError(f"{where}: `{name}` is NaN; fill it in or leave the row out")
