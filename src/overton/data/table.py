"""Source `table`: a JSONL, CSV or Parquet file of your own.

Three forms, told apart by their columns (after ``data.columns`` renamed them):

- one row a situation: ``id, text, perspectives[, metadata]`` as the data stage writes them; in CSV the perspectives are
  JSON text;
- one row a perspective: ``id, situation, label, explanation[, cluster, stance]``;
- one row an answer: ``situation, answer[, id]``, also called ``prompt, answer``, with one line
  "In the perspective of LABEL, explanation." a perspective.

Perspectives of one situation with the same ``cluster`` say the same in other words. The first of them is the
reference, the others teach the estimator what sameness is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overton.data.cells import check_new_id, id_value, stance_value, text_value
from overton.data.columns import ANSWER_COLUMNS, SITUATION_COLUMNS, our_columns
from overton.data.files import read_rows
from overton.data.io import situation_from_row
from overton.data.rows import TableRow, changed_note, distinct, joined_note, row_of, view_of
from overton.errors import DataError
from overton.segment import layout, segment
from overton.types import Perspective


def read_table(
    path: Path, columns: Mapping[str, str], warnings: list[str] | None = None, *, labels: bool = True, prefix: str = ""
) -> list[TableRow]:
    """Read and check a table.

    Args:
        path: ``.jsonl``, ``.csv`` (comma) or ``.tsv`` (tab) file in UTF-8, or a ``.parquet`` file.
        columns: our name -> your column. When it names any, columns that are not ours are left out.
        warnings: what was left out, joined or changed is appended.
        labels: whether each perspective needs a label, as data to train on do; ``False`` for references whose
            explanations are compared and no more.
        prefix: put in front of ids that are made up for answers without one.

    Raises:
        DataError: one message with file and row: missing or unknown column, empty file or text, broken line,
            wrong encoding, NaN, duplicate id, one-perspective situation, one explanation in two clusters, text of more
            than 10,000 words.
    """
    told = [] if warnings is None else warnings
    rows = list(read_rows(path))
    return rows_of_table(rows, columns, path, told, only_ours=not columns, labels=labels, prefix=prefix)


def rows_of_table(
    rows: list[tuple[str, dict[str, Any]]],
    columns: Mapping[str, str],
    source: Path | str,
    warnings: list[str],
    *,
    only_ours: bool,
    labels: bool = True,
    prefix: str = "",
) -> list[TableRow]:
    """Check the rows of a table, wherever they were read.

    Args:
        rows: ("FILE, row N", row) each.
        columns: our name -> your column.
        source: file or data set, for messages.
        warnings: what was left out, joined or changed is appended.
        only_ours: refuse columns that are not ours, which may be ours misspelt, instead of leaving them out.
        labels: as for :func:`read_table`.
        prefix: the same.

    Raises:
        DataError: as :func:`read_table`.
    """
    twice: list[str] = []
    changed: list[str] = []
    rows, form = our_columns(rows, columns, source, only_ours, warnings, labels=labels)
    if form is SITUATION_COLUMNS:
        found = _from_situations(rows, source, twice, changed, labels)
    elif form is ANSWER_COLUMNS:
        found = _from_answers(rows, source, twice, prefix)
    else:
        found = _from_perspectives(rows, source, twice, changed, labels)
    warnings += joined_note(twice) + changed_note(changed)
    return found


def _from_situations(
    rows: list[tuple[str, dict[str, Any]]], source: Path | str, twice: list[str], changed: list[str], labels: bool
) -> list[TableRow]:
    found, seen = [], dict[str, int]()
    for number, (where, row) in enumerate(rows, 1):
        situation = situation_from_row(row | {"perspectives": _listed(row["perspectives"], where, labels)}, where)
        check_new_id(situation.id, number, seen, source)
        views = [
            view_of(
                p.label,
                p.explanation,
                p.stance,
                p.cluster,
                f"{where}, perspective {position}",
                p.provenance or "human",
                labels=labels,
                changed=changed,
            )
            for position, p in enumerate(situation.perspectives, 1)
        ]
        views = distinct(views, where, twice)
        found.append(row_of(situation.id, situation.text, views, where, metadata=situation.metadata))
    return found


def _listed(value: Any, where: str, labels: bool) -> Any:
    """Perspectives as a list: of JSON text, as a CSV has it; bare texts are explanations without a label."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
        if not isinstance(value, list):
            raise DataError(f"{where}: `perspectives` must be a list, or one as JSON text (json.dumps)")
    if labels or not isinstance(value, list):
        return value
    return [{"explanation": item} if isinstance(item, str) else item for item in value]


def _from_perspectives(
    rows: list[tuple[str, dict[str, Any]]], source: Path | str, twice: list[str], changed: list[str], labels: bool
) -> list[TableRow]:
    views: dict[str, list[Perspective]] = {}
    texts: dict[str, tuple[str, str]] = {}
    for where, row in rows:
        name = id_value(row["id"], where)
        text = text_value(row["situation"], "situation", where)
        first, place = texts.setdefault(name, (text, where))
        if first != text:
            raise DataError(f"{where}: id {name!r} was used for another situation in {place}")
        view = view_of(
            row.get("label"),
            row["explanation"],
            stance_value(row.get("stance"), where),
            row.get("cluster"),
            where,
            labels=labels,
            changed=changed,
        )
        views.setdefault(name, []).append(view)
    places = {name: f"{source}, id {name!r}" for name in views}
    return [
        row_of(name, texts[name][0], distinct(own, places[name], twice), places[name]) for name, own in views.items()
    ]


def _from_answers(
    rows: list[tuple[str, dict[str, Any]]], source: Path | str, twice: list[str], prefix: str
) -> list[TableRow]:
    found, seen = [], dict[str, int]()
    for number, (where, row) in enumerate(rows, 1):
        name = id_value(row["id"], where) if row.get("id") is not None else f"{prefix}row-{number}"
        check_new_id(name, number, seen, source)
        answer = text_value(row["answer"], "answer", where)
        views = []
        for position, part in enumerate(segment(answer), 1):
            if not part.label:
                raise DataError(
                    f'{where}: perspective {position} of `answer` is not "In the perspective of LABEL, explanation."'
                )
            views.append(view_of(part.label, part.explanation, None, None, f"{where}, perspective {position}"))
        different = distinct(views, where, twice)
        # An answer that repeats itself is nothing to learn from.
        completion = answer if layout(answer).valid and len(different) == len(views) else ""
        text = text_value(row["situation"], "situation", where)
        found.append(row_of(name, text, different, where, completion))
    return found
