"""When the files of a run were written, for tests of what is not made again."""

from __future__ import annotations

from pathlib import Path


def made_when(folder: Path) -> dict[Path, int]:
    """Times by file; what the last command leaves of itself is nothing that it made."""
    own = ("recipe.yaml", ".lock", ".inputs.json")  # its recipe, and hashes of files outside that had just been written
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in own)
    return {p: p.stat().st_mtime_ns for p in files}
