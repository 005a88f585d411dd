"""Hashes of what a stage reads: of other stages, and from outside the run (tables, data sets and models' folders).

What lies outside may be gigabytes, so its hash is kept with what the file system says of the files, and what was not
touched since is not read again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.folders import visible_files
from overton.jsonio import read_json, sha256, write_json
from overton.rundir import RunDir, fingerprint, stage_files

MEMORY = ".inputs.json"
# File systems tell times in steps of up to two seconds; a change within the same step would not be seen.
_STEP = 2.0


def input_hash(run: RunDir, name: str) -> str:
    """SHA-256 of a file or folder of another stage, as a manifest holds it.

    Args:
        run: the run.
        name: relative to the run, for example ``data/test.jsonl`` or ``generation``.
    """
    path = run.path / name
    if path.is_dir() and (path / "manifest.json").exists():
        # A whole stage folder: what lies in it now, files made elsewhere included, but not its manifest's
        # times.
        return fingerprint(stage_files(path))
    return sha256(path)


def outside_hash(path: Path, run: Path, *, write: bool = True) -> str:
    """SHA-256 of a file or folder (:func:`overton.jsonio.sha256`), remembered in the run's folder.

    Args:
        path: what is there.
        run: the run's folder.
        write: remember what had to be read.
    """
    place, (stamp, newest) = str(path.resolve()), _stamp(path)
    known = _memory(run)
    if known.get(place, {}).get("stamp") == stamp:
        return str(known[place]["sha256"])
    digest = sha256(path)
    if write and newest < time.time() - _STEP:
        write_json(run / MEMORY, {**known, place: {"stamp": stamp, "sha256": digest}})
    return digest


def _stamp(path: Path) -> tuple[str, float]:
    """Names, sizes and times of all files as one hash, and the latest time, in seconds."""
    newest, rows = 0.0, []
    for file in visible_files(path) if path.is_dir() else [path]:
        found = file.stat()
        newest = max(newest, found.st_ctime)
        # Tools that copy set the time of the change back, but never that of the entry.
        rows.append([str(file), found.st_size, found.st_mtime_ns, found.st_ctime_ns])
    return fingerprint(rows), newest


def _memory(run: Path) -> dict[str, Any]:
    try:
        found = read_json(run / MEMORY)
    except (DataError, OSError):
        return {}
    return {place: row for place, row in found.items() if isinstance(row, dict)} if isinstance(found, dict) else {}
