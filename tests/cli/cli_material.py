"""What the tests of the command line share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from overton.segment import format_answer
from overton.types import Perspective

ANSWER = format_answer(
    [
        Perspective("Honesty", "the truth matters between friends"),
        Perspective("Duty of care", "the child should be kept safe"),
    ],
    "Honesty and the duty of care both count.",
)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
