"""Options that several verbs have, and how they print JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check_lines_file(path: Path, endings: tuple[str, ...] = (".jsonl", ".jsonl.gz")) -> None:
    """Refuse a file for JSON lines whose name would have it read as something else, before any work is done.

    Raises:
        RunError: the name has another ending.
    """
    from overton.errors import RunError

    if not path.name.endswith(endings):
        raise RunError(f"{path}: JSON lines are written; give a name that ends in {' or '.join(endings)}")


def print_json(value: object) -> None:
    """Print a value as JSON; NaN is an error, since JSON has none."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
