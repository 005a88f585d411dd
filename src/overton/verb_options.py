"""Options that several verbs have, and how they print JSON."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: object) -> None:
    """Print a value as JSON; NaN is an error, since JSON has none."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
