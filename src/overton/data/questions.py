"""Sets that people wrote, as questions with references: out of the distribution that anything here was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from overton.data.sources import read_source
from overton.errors import DataError
from overton.sections import DataPart
from overton.types import Situation

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
