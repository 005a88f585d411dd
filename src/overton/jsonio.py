"""Files written whole or not at all, and read with errors that name the line: text, JSON, JSONL; their hashes."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from overton.errors import DataError, RunError
from overton.folders import visible_files
from overton.full_disk import disk_full

MAX_LINE = 64 << 20  # bytes; a small gzip file can hold a line that fills the memory
_LONE = re.compile("[\ud800-\udfff]")  # surrogates; json has joined those that come in pairs


@contextmanager
def atomic_open(path: Path, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary sibling for writing and move it to ``path`` when the block ends without an error.

    A reader sees the old file or the whole new one.

    Raises:
        DiskFullError: the disk is full.
        RunError: the folder cannot be written, or the path is none of a file, or lies in what is no folder.
    """
    _check_place(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made anew: in a folder that others write to, its name can be guessed, and a link would lead anywhere.
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb" if binary else "x", encoding=None if binary else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if full := disk_full(error, path):
            raise full from error
        raise RunError(f"{path}: cannot be written ({error.strerror or error}). Nothing was changed.") from error
    finally:
        temporary.unlink(missing_ok=True)


def keep_inputs(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is read, before anything is done.

    Args:
        outputs: files that will be written.
        inputs: files that are read; those that are ``None`` or not there do not count.

    Raises:
        RunError: an output is also an input, by whatever name or link, or its path is none of a file, or lies in what
            is no folder.
    """
    given = [path for path in inputs if path is not None and os.path.exists(path)]
    for output in outputs:
        _check_place(output)
        if os.path.exists(output) and any(os.path.samefile(output, path) for path in given):
            raise RunError(f"{output}: is read here and would be overwritten; name another place to write to")


def _check_place(path: Path) -> None:
    if os.path.exists(path) and not os.path.isfile(path):  # a device would be replaced by a file
        raise RunError(f"{path}: is {'a folder' if path.is_dir() else 'no file'}; give the name of a file to write")
    for folder in path.parents:
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise RunError(f"{folder}: cannot be written to, since it is no folder; name another place")
            return


def write_text(path: Path, text: str) -> None:
    """Write text atomically, UTF-8."""
    with atomic_open(path) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, atomically, compressed with gzip under a name in ``.gz``; returns how many."""
    count = 0
    with atomic_open(path, binary=True) as file:
        # Without a name and a time in it, equal rows are equal files.
        zipped = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if path.suffix == ".gz" else nullcontext(file)
        with zipped as out:
            for row in rows:
                out.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())
                count += 1
    return count


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: missing, not UTF-8, not JSON, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: broken JSON at line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply to be read") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{path}: {error}") from None


def read_jsonl(path: Path, *, nan: bool = False) -> list[dict[str, Any]]:
    """Read a JSONL file, also one compressed with gzip (``.gz``); blank lines are skipped.

    An escape of half a character (``\\ud83d`` alone) is read as U+FFFD, the mark of a character that was lost.

    Args:
        path: the file.
        nan: read ``NaN``, as Python writes a missing cell, as null; else it is refused.

    Raises:
        DataError: missing, empty, not UTF-8, or a line that is not a JSON object or is longer than 64 MiB (with its
            number).
    """
    rows: list[dict[str, Any]] = []
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
                if len(line) > MAX_LINE:
                    raise DataError(f"{path}, line {number}: more than {MAX_LINE >> 20} MiB; write one row a line")
                if not line.strip():
                    continue
                rows.append(_parse_line(path, number, line, nan))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, a JSONL file is wanted") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); copy it again") from None
    if not rows:
        raise DataError(f"{path}: the file holds no rows")
    return rows


def _parse_line(path: Path, number: int, line: bytes, nan: bool) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        row = json.loads(text, parse_constant=_null_for_nan if nan else _refuse_constant, parse_float=_finite)
        if b"\\ud" in line.lower():
            # Half of a character, as a program leaves that cuts texts: JSON allows it, no file can hold it.
            whole = _LONE.sub("\ufffd", json.dumps(row, ensure_ascii=False))
            row = json.loads(whole, parse_constant=_refuse_constant)
    except RecursionError:
        raise DataError(f"{path}, line {number}: nested too deeply to be read") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, line {number}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        hint = "; each line is to hold one whole JSON object" if number == 1 else ""
        raise DataError(f"{path}, line {number}: broken JSON: {error.msg}{hint}") from None
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}") from None
    if not isinstance(row, dict):
        hint = "; write its objects one a line" if isinstance(row, list) else ""
        raise DataError(f"{path}, line {number}: a JSON object is wanted, found {type(row).__name__}{hint}")
    return row


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name:.40} is not a value; leave the field out or write null")


def _null_for_nan(name: str) -> Any:
    return None if name == "NaN" else _refuse_constant(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # as 1e400 is read
        _refuse_constant(text)
    return value


def sha256(path: Path) -> str:
    """Hex digest of a file, or of the names and contents of a folder's visible files."""
    digest = hashlib.sha256()
    for file in visible_files(path) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode())
        with open(file, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
