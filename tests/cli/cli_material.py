"""What the tests of the command line share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from overton.commands.scoring_pairs import Evaluators
from overton.segment import format_answer
from overton.types import Perspective

ANSWER = format_answer(
    [
        Perspective("Honesty", "the truth matters between friends"),
        Perspective("Duty of care", "the child should be kept safe"),
    ],
    "Honesty and the duty of care both count.",
)
QUESTIONS = ("Is it right to lie?", "May one steal bread?", "Who owns the sea?", "Should dogs vote?")
VIEWS = (
    "the truth matters",
    "a friend should be kept safe",
    "hunger is a need",
    "property is property",
    "laws bind all",
)
ONE, TWO = "the truth matters between friends", "the child should be kept safe"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answer(views: tuple[str, ...]) -> str:
    return "\n".join(f"In the perspective of L{i}, {v}." for i, v in enumerate(views))


def strict(encoder: Path) -> Evaluators:
    """Only equal texts match."""
    return Evaluators(estimator=str(encoder), threshold=0.9999)


def situation(name: str, text: str, *explanations: str) -> dict[str, Any]:
    return {
        "id": name,
        "text": text,
        "perspectives": [{"label": "L", "explanation": e} for e in explanations],
    }
