"""Rows of files that hold answers: JSON lines, and the tables that spreadsheets and data frames save."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

from overton.data.cells import is_nan
from overton.data.columns import ROW_NUMBERS
from overton.data.files import read_rows
from overton.jsonio import read_jsonl
from overton.types import Answer

TABLES = (".csv", ".tsv", ".parquet")
_NUMBERS = [name for name, kind in get_type_hints(Answer).items() if {int, float} & set(get_args(kind))]
_FLAGS = {"true": True, "false": False}


def answer_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Rows of answers, each with its place ("FILE, row N" or "FILE, line N").

    The ending tells CSV, TSV and Parquet; any other file is JSON lines, also gzipped. In a table empty cells and NaN
    are missing, but for an empty `answer`, numbers and flags may be text, and row numbers of data frames are left out.

    Raises:
        DataError: missing, empty, broken or not UTF-8.
    """
    if path.suffix.lower() not in TABLES:
        return [(f"{path}, row {number}", row) for number, row in enumerate(read_jsonl(path), 1)]
    return [
        (where, {name: _cell(name, value) for name, value in row.items() if not ROW_NUMBERS.fullmatch(name)})
        for where, row in read_rows(path)
    ]


def _cell(name: str, value: Any) -> Any:
    if name == "answer":
        return value
    if not isinstance(value, str):
        return None if is_nan(value) else value
    text = value.strip()
    if not text or (name in _NUMBERS and is_nan(text)):
        return None
    if name == "finished":
        return _FLAGS.get(text.lower(), value)
    if name not in _NUMBERS:
        return value
    try:
        return float(text)
    except ValueError:
        return value  # whoever checks the column says what is wrong with it
