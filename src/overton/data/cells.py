"""Cells of rows as people write them: each is checked, and every error names its place and its column."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.segment.masking import WORD

MAX_WORDS = 10_000
MAX_CHARACTERS = 100_000
# Beside "nan", how data frames spell a missing cell once their columns are text.
_NO_CLUSTER = ("none", "<na>", "null", "nat")


def check_columns(row: Mapping[str, Any], *, required: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    """Refuse missing and unknown columns.

    Raises:
        DataError: names the column and what is there.
    """
    missing = [name for name in required if name not in row]
    if missing:
        raise DataError(f"{where}: column {missing[0]!r} is missing; found: {', '.join(map(str, row)) or 'nothing'}")
    unknown = [str(name) for name in row if name not in known]
    if unknown:
        raise DataError(f"{where}: unknown column {unknown[0]!r}; known columns: {', '.join(known)}")


def check_new_id(name: str, number: int, seen: dict[str, int], source: Path | str, shown: str | None = None) -> None:
    """Refuse an id that an earlier row has.

    Raises:
        DataError: names both rows.
    """
    if name in seen:
        raise DataError(f"{source}, row {number}: id {shown or name!r} was used in row {seen[name]} already")
    seen[name] = number


def check_count(count: int, where: str) -> None:
    """Refuse a situation without at least two perspectives.

    Raises:
        DataError: a spectrum needs two.
    """
    if count < 2:
        raise DataError(
            f"{where}: {count} perspective{'' if count == 1 else 's'}; a spectrum needs at least two. "
            "Add one or leave the situation out"
        )


def text_value(value: Any, name: str, where: str) -> str:
    """A text of 1 to 10,000 words, and at most 100,000 characters.

    Raises:
        DataError: empty, not text, NaN or overlong.
    """
    if isinstance(value, float) and math.isnan(value):
        raise DataError(f"{where}: `{name}` is NaN; fill it in or leave the row out")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: `{name}` is empty")
    if not isinstance(value, str):
        raise DataError(f"{where}: `{name}` must be text, found {kind_of(value)}")
    if len(value) > MAX_CHARACTERS:
        raise DataError(f"{where}: `{name}` has {len(value):,} characters, at most {MAX_CHARACTERS:,} are read")
    words = len(value.split())
    if words > MAX_WORDS:
        raise DataError(f"{where}: `{name}` has {words:,} words, at most {MAX_WORDS:,} are read")
    return value.strip()


def worded_text(value: Any, name: str, where: str) -> str:
    """A text as in :func:`text_value` with one word at least, of any script; a number is one.

    Raises:
        DataError: as :func:`text_value`, or nothing but punctuation and signs.
    """
    text = text_value(value, name, where)
    if not WORD.search(text):
        raise DataError(f"{where}: `{name}` has no word, found {text[:40]!r}; fill it in or leave the row out")
    return text


def optional_text(value: Any, name: str, where: str) -> str | None:
    """Text as in :func:`text_value`, or ``None`` where there is none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return text_value(value, name, where)


def id_value(value: Any, where: str) -> str:
    """An id as text; whole numbers are allowed.

    Raises:
        DataError: empty, NaN or of another type.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_value(value, "id", where)


def cluster_value(value: Any, where: str) -> str | None:
    """The name of a cluster as text, or ``None`` where there is none: nothing, ``""``, or NaN.

    The words for a missing cell, ``nan``, ``None``, ``<NA>``, ``null`` and ``NaT`` in any case, are none either.

    Args:
        value: text or a whole number, also as 3.0: data frames make that of numbers with gaps.
        where: "FILE, row N" for messages.

    Raises:
        DataError: anything else.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    missing = is_nan(value) or (isinstance(value, str) and value.strip().lower() in _NO_CLUSTER)
    return None if missing else optional_text(value, "cluster", where)


def is_nan(value: Any) -> bool:
    """Whether a cell is missing: NaN, or the word, as tables written by data frames spell it."""
    return value.strip().lower() == "nan" if isinstance(value, str) else isinstance(value, float) and math.isnan(value)


def stance_value(value: Any, where: str) -> str | None:
    """``"+"``, ``"-"``, or ``None`` where there is none: nothing, ``""``, or NaN.

    Raises:
        DataError: anything else.
    """
    if value in (None, "") or is_nan(value):
        return None
    if value not in ("+", "-"):
        raise DataError(f"{where}: `stance` must be '+', '-' or empty, found {value!r}")
    return str(value)


def number_value(value: Any, name: str, where: str, kind: type) -> Any:
    """A finite number as ``kind``, int or float, or ``None`` where there is none.

    Raises:
        DataError: of another type, not finite, or a fraction where whole numbers are wanted.
    """
    if value is None:
        return None
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not usable or (kind is int and value != int(value)):
        raise DataError(f"{where}: `{name}` must be a number, found {value!r:.40}")
    return kind(value)


def raw_text(value: Any, name: str, where: str) -> str | None:
    """A text as it is, of any length, or ``None`` where there is none.

    Raises:
        DataError: of another type.
    """
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: `{name}` must be text, found {kind_of(value)}")
    return value


def flag_value(value: Any, name: str, where: str) -> bool:
    """True or false; true where there is nothing.

    Raises:
        DataError: of another type.
    """
    if value is None:
        return True
    if not isinstance(value, bool):
        raise DataError(f"{where}: `{name}` must be true or false, found {value!r}")
    return value


def kind_of(value: Any) -> str:
    """The name of a value's type, for messages."""
    return type(value).__name__


def metadata_value(value: Any, where: str) -> dict[str, Any]:
    """What JSON can hold of a mapping, NaN as null; ``{}`` where there is none.

    Raises:
        DataError: it is no mapping, is nested too deeply, or holds a value or a key that JSON cannot.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: `metadata` must be an object, found {kind_of(value)}")
    try:
        found: dict[str, Any] = _json_value(value, "metadata", where)
    except RecursionError:
        raise DataError(f"{where}: `metadata` is nested too deeply") from None
    return found


def _json_value(value: Any, name: str, where: str) -> Any:
    """A value as JSON has it, NaN as null. Parquet also holds dates, bytes and more."""
    if isinstance(value, Mapping):
        if other := [key for key in value if not isinstance(key, str)]:
            raise DataError(f"{where}: `{name}` must have texts as keys, found {kind_of(other[0])}")
        return {key: _json_value(item, f"{name}.{key}", where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item, name, where) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise DataError(f"{where}: `{name}` is infinite, which JSON cannot hold; save it as text or leave it out")
    if value is not None and not isinstance(value, (str, int, float)):
        raise DataError(
            f"{where}: `{name}` is {kind_of(value)}, which JSON cannot hold; save it as text or leave it out"
        )
    return value
