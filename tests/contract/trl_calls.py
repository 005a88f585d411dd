"""Calls of a reward function as TRL makes them."""

from __future__ import annotations

from typing import Any

from overton.segment import format_answer
from overton.types import Perspective

NAMES = ("pluralism", "coverage", "uniqueness", "precision", "form")
REFERENCES = [{"label": "Care", "explanation": "Ann means well"}, {"label": "", "explanation": "it is not hers"}]
CARE = format_answer([Perspective("Care", "Ann means well")], "Care.")
TWICE = format_answer([Perspective("Care", "Ann means well"), Perspective("Care", "Ann means well")], "Care.")
BESIDE = format_answer([Perspective("Law", "zebras quack")], "Law.")


class Logs:
    """What TRL's trainer hands over for logging."""

    def __init__(self) -> None:
        self.extra: dict[str, list[Any]] = {}
        self.metrics: dict[str, list[float]] = {}

    def log_extra(self, column: str, values: list[Any]) -> None:
        self.extra.setdefault(column, []).extend(values)

    def log_metric(self, name: str, value: float) -> None:
        self.metrics.setdefault(name, []).append(value)

    def both(self) -> dict[str, Any]:
        return {"log_extra": self.log_extra, "log_metric": self.log_metric}


def call(texts: list[str], references: Any = REFERENCES, **columns: Any) -> dict[str, Any]:
    """Keyword arguments of one call: answers to one question."""
    size = len(texts)
    return {
        "prompts": ["May Ann read it?\n"] * size,
        "completions": texts,
        "completion_ids": [[1, 2, 3]] * size,
        "references": [references] * size,
    } | columns
