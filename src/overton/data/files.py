"""Rows of JSONL, Parquet, CSV and TSV files, each with its place for messages."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.jsonio import read_jsonl


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a JSONL, Parquet, CSV or TSV file with their place ("FILE, row N" or "FILE, line N").

    ``NaN`` in JSONL is a missing cell, as it is in Parquet.

    Raises:
        DataError: missing, empty, of another kind, broken or not UTF-8.
    """
    kind = path.suffix.lower()
    if kind == ".jsonl":
        for number, row in enumerate(read_jsonl(path, nan=True), 1):
            yield f"{path}, row {number}", row
        return
    if kind == ".parquet":
        for number, row in enumerate(_parquet(path), 1):
            yield f"{path}, row {number}", row
        return
    if kind not in (".csv", ".tsv"):
        there = "is a folder, " if path.is_dir() else "" if path.exists() else "no such file; "
        raise DataError(f"{path}: {there}a .jsonl, .parquet, .csv or .tsv file is wanted")
    reader = csv.reader(io.StringIO(_decode(path), newline=""), delimiter="\t" if kind == ".tsv" else ",", strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(header) == 1 and (found := next((sign for sign in ";\t,|" if sign in header[0]), "")):
            wanted = "a tab" if kind == ".tsv" else "a comma"
            raise DataError(
                f"{path}: cells of a {kind} file are separated by {wanted}, the header has {found!r}. Save it with "
                f"{wanted} between cells" + (", or name it .tsv" if found == "\t" else "")
            )
        if len(set(header)) != len(header):
            raise DataError(f"{path}: a column name occurs twice in the header: {', '.join(header)}")
        empty = True
        for cells in reader:
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: {len(cells)} cells, the header has {len(header)} columns")
            empty = False
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        long = "field larger" in str(error)
        most = f"a cell of more than {csv.field_size_limit():,} characters, the most that is read of a {kind} file"
        what = most if long else f"broken CSV: {error}"
        raise DataError(f"{path}, line {reader.line_num}: {what}") from None
    if empty:
        raise DataError(f"{path}: the file holds no rows")


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{path}: Parquet needs pyarrow: pip install pyarrow, or save the table as JSONL") from None
    try:
        table = parquet.read_table(path)
        rows: list[dict[str, Any]] = table.to_pylist()
    except UnicodeDecodeError:
        raise DataError(f"{path}, row {_first_undecodable(table)}: not UTF-8; save the text as UTF-8") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    if not rows:
        raise DataError(f"{path}: the file holds no rows")
    return rows


def _first_undecodable(table: Any) -> int:
    for number in range(table.num_rows):
        try:
            table.slice(number, 1).to_pylist()
        except UnicodeDecodeError:
            return number + 1
    return 0


def _decode(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
