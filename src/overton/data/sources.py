"""From what a recipe says about a source to its situations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from overton.errors import DataError

if TYPE_CHECKING:
    from overton.data.rows import TableRow
    from overton.sections import DataPart


def files_of(path: Path | None) -> list[Path]:
    """Files that are read where a source, or a published set, has this path."""
    if path is None or not path.is_dir():
        return [] if path is None else [path]
    return [*path.glob("*.csv"), *path.glob("*_v1.0.json")]


def read_source(part: DataPart, warnings: list[str], *, labels: bool = True, prefix: str = "") -> list[TableRow]:
    """Read one source.

    Args:
        part: what to read.
        warnings: what the card should tell is appended.
        labels: whether the perspectives of a table need labels (:func:`overton.data.table.read_table`).
        prefix: put in front of ids that are made up for rows without one.

    Raises:
        DataError: a key is missing or does not belong there, or the source's data are unusable.
    """
    if part.columns and part.source not in ("table", "hub"):
        raise DataError(f"data.columns: source `{part.source}` knows its columns; leave them out")
    if part.dataset and part.source not in ("hub", "valueprism"):
        raise DataError(f"data.dataset: source `{part.source}` reads files, name them in data.path")
    if part.source == "hub":
        from overton.data.hub import hub_rows
        from overton.data.table import rows_of_table

        if part.path is not None:
            raise DataError("data.path: source `hub` reads data.dataset; a folder may stand there too")
        rows = hub_rows(part.dataset, part.subset, part.hub_split)
        return rows_of_table(rows, part.columns, part.dataset, warnings, only_ours=False, prefix=prefix)
    if part.source == "valueprism":
        return _valueprism(part, warnings, prefix)
    if part.path is None:
        wanted = "the path of a JSONL or CSV file" if part.source == "table" else "the folder of its files"
        raise DataError(f"data.path: source `{part.source}` needs {wanted}")
    if part.source == "table":
        from overton.data.table import read_table

        return read_table(part.path, part.columns, warnings, labels=labels, prefix=prefix)
    return _published(part.source, part.path, warnings)


def _valueprism(part: DataPart, warnings: list[str], prefix: str) -> list[TableRow]:
    """The set as it is published, or situations with an answer each (``prompt``, ``answer``), as OP-GRPO's test set."""
    from overton.data.files import read_rows
    from overton.data.hub import hub_rows
    from overton.data.table import rows_of_table
    from overton.data.valueprism import DATASET, SUBSET, valueprism_rows

    if part.path is not None and part.dataset:
        raise DataError("data.path and data.dataset: source `valueprism` reads one of them; leave the other out")
    if part.path is not None:
        files = sorted(part.path.glob("*.csv")) if part.path.is_dir() else [part.path]
        if not files:
            raise DataError(f"{part.path}: holds no .csv file")
        rows = [row for file in files for row in read_rows(file)]
        if rows and "answer" in rows[0][1]:
            found = rows_of_table(rows, {}, part.path, warnings, only_ours=False, prefix=prefix)
            return [_written_by(row, "language models") for row in found]  # GPT-4, and others where OP-GRPO filled up
        return valueprism_rows(rows, warnings, prefix)
    subset = part.subset or ("" if part.dataset else SUBSET)
    return valueprism_rows(hub_rows(part.dataset or DATASET, subset, part.hub_split), warnings, prefix)


def _written_by(row: TableRow, author: str) -> TableRow:
    views, perspectives = (
        tuple(replace(view, provenance=author) for view in of) for of in (row.views, row.situation.perspectives)
    )
    return replace(row, views=views, situation=replace(row.situation, perspectives=perspectives))


def _published(source: str, folder: Path, warnings: list[str]) -> list[TableRow]:
    from overton.data.argkp import read_argkp
    from overton.data.perspectrum import read_perspectrum

    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the folder of the {source} files is wanted")
    return {"perspectrum": read_perspectrum, "argkp": read_argkp}[source](folder, warnings)
