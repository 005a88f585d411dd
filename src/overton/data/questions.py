"""Questions: of sets that people wrote, with references, and of any table, without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from overton.data.cells import id_value, text_value
from overton.data.files import read_rows
from overton.data.sources import read_source
from overton.errors import DataError
from overton.sections import DataPart
from overton.types import Situation

_TEXT_COLUMNS = ("text", "situation", "prompt", "question")
SOURCES = ("perspectrum", "argkp", "table", "valueprism")


def read_questions(source: str, path: Path, split: str = "", warnings: list[str] | None = None) -> list[Situation]:
    """Questions with one reference a perspective: of a cluster, or of a key point. Stances are kept.

    Args:
        source: as in ``data.source``, one that reads files.
        path: its folder or file.
        split: of the set's own (``train``, ``dev`` or ``test``); ``""`` = all.
        warnings: what was left out is appended.

    Raises:
        DataError: the source is unknown, the data are unusable, or the split has no questions.
    """
    if source not in SOURCES:
        raise DataError(f"source {source!r}: one of {', '.join(SOURCES)} is wanted")
    part = DataPart(source=source, path=path)  # type: ignore[arg-type]
    rows = read_source(part, [] if warnings is None else warnings, labels=False)
    found: Sequence[Situation] = [row.situation for row in rows if not split or row.split == split]
    if not found:
        splits = sorted({row.split for row in rows if row.split})
        raise DataError(f"{path}: no questions in split {split!r}; there are: {', '.join(splits) or 'none'}")
    return list(found)


def questions_of(path: Path) -> list[Situation]:
    """Questions of a file, without references; rows that repeat one, as in a table of perspectives, count once.

    Args:
        path: rows with ``text``, ``situation``, ``prompt`` or ``question``; without ``id`` the text is the id.

    Raises:
        DataError: the file cannot be read, a row has no question, or two questions share an id.
    """
    found: dict[str, Situation] = {}
    for where, row in read_rows(path):
        column = next((name for name in _TEXT_COLUMNS if name in row), None)
        if column is None:
            columns = ", ".join(map(str, row)) or "nothing"
            raise DataError(f"{where}: no column with a question ({', '.join(_TEXT_COLUMNS)}); found: {columns}")
        text = text_value(row[column], column, where)
        name = id_value(row["id"], where) if row.get("id") not in (None, "") else text
        if found.setdefault(name, Situation(name, text, ())).text != text:
            raise DataError(f"{where}: id {name!r} belongs to another question already")
    return list(found.values())
