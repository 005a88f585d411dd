"""When the files of a run were written, for tests of what is not made again."""

from __future__ import annotations

from pathlib import Path


def made_when(folder: Path) -> dict[Path, int]:
    """Times by file; the recipe's copy and the lock belong to the last command, and not to what it made."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in ("recipe.yaml", ".lock"))
    return {p: p.stat().st_mtime_ns for p in files}
