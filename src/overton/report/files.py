"""Reads what a run directory holds. A file that is missing or broken becomes a note, never an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from overton.errors import OvertonError
from overton.jsonio import read_json, read_jsonl
from overton.rundir import RunDir
from overton.spelling import one_spelling
from overton.types import Situation

Row = dict[str, Any]
T = TypeVar("T")
STAGES = (
    "data",
    "estimator",
    "training",
    "training/sft",
    "training/grpo",
    "generation",
    "evaluation",
    "report",
)


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What the report is made from.

    Attributes:
        summary: ``evaluation/summary.json``, ``{}`` when missing.
        situations: the test split by id.
        answers: generated answers, system -> situation id -> row.
        verdicts: rows of the evaluators, system -> metric file (``oracle``, ``nli``, ``form``) -> id -> row.
        calibration: ``estimator/calibration.json``, ``{}`` when missing.
        benchmark: ``estimator/benchmark.json``, ``{}`` when missing.
        curves: metrics by step, ``sft`` and ``grpo``; one row a step, in order.
        manifests: stage -> manifest.
        notes: part of the page -> why something of it is missing, one line a file.
    """

    summary: Row = field(default_factory=dict)
    situations: dict[str, Situation] = field(default_factory=dict)
    answers: dict[str, dict[str, Row]] = field(default_factory=dict)
    verdicts: dict[str, dict[str, dict[str, Row]]] = field(default_factory=dict)
    calibration: Row = field(default_factory=dict)
    benchmark: Row = field(default_factory=dict)
    curves: dict[str, list[Row]] = field(default_factory=dict)
    manifests: dict[str, Row] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def number(value: Any) -> float | None:
    """A finite number, or ``None`` for everything else (NaN, infinity, text, truth values)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def mapping(value: Any) -> Row:
    """The value when it is a dict, else an empty one: files made elsewhere may hold anything."""
    return value if isinstance(value, dict) else {}


class Guard:
    """Calls what makes one part; a shape that nobody foresaw costs that part, not the whole report.

    Files of a run may come from elsewhere or from another version, and a report of the rest is worth having.

    Args:
        notes: lines by part, for example :attr:`RunFiles.notes`; copied, not changed.

    Attributes:
        notes: those lines and one more for each part that could not be made.
    """

    def __init__(self, notes: dict[str, list[str]]) -> None:
        self.notes = {part: list(lines) for part, lines in notes.items()}

    def note(self, part: str, line: str) -> None:
        """Add a line."""
        self.notes.setdefault(part, []).append(line)

    def __call__(self, part: str, make: Callable[[], T]) -> T | None:
        """What ``make`` returns, or ``None`` and a note when the data has a shape it cannot work with."""
        try:
            return make()
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self.note(part, f"could not be shown: {error!r}")
            return None


def read_run(run: RunDir) -> RunFiles:
    """Read all files that the report uses.

    Args:
        run: the run directory.

    Returns:
        What was found; :attr:`RunFiles.notes` says what was not.
    """
    reader = _Reader(run.path)
    generation, evaluation = run.stage("generation"), run.stage("evaluation")
    situations = reader.situations(run.stage("data") / "test.jsonl")
    answers = {p.stem: reader.answers(p, situations) for p in sorted(generation.glob("*.jsonl"))}
    if not answers:
        reader.note("examples", "generation/*.jsonl: no such file")
    return RunFiles(
        summary=reader.json("results", evaluation / "summary.json"),
        situations=situations,
        answers={name: rows for name, rows in answers.items() if rows},
        verdicts=reader.verdicts(evaluation),
        calibration=reader.json("estimator", run.stage("estimator") / "calibration.json"),
        benchmark=reader.json("estimator", run.stage("estimator") / "benchmark.json"),
        curves={s: reader.curve(run.stage("training") / s / "metrics.jsonl") for s in ("sft", "grpo")},
        manifests={s: m for s in STAGES if (m := mapping(run.manifest(s)))},
        notes=reader.notes,
    )


def read_summary(run: RunDir) -> tuple[Row, str]:
    """``evaluation/summary.json`` alone, and why it could not be read (``""`` when it could)."""
    reader = _Reader(run.path)
    summary = reader.json("results", run.stage("evaluation") / "summary.json")
    return summary, " ".join(reader.notes.get("results", []))


class _Reader:
    """Reads files of one run and collects a note for each that could not be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: dict[str, list[str]] = {}

    def note(self, part: str, text: str) -> None:
        # Paths on the page are relative to the run: it is made to be sent to others.
        self.notes.setdefault(part, []).append(text.replace(f"{self.root}/", ""))

    def json(self, part: str, path: Path) -> Row:
        try:
            value = read_json(path)
        except (OvertonError, OSError) as error:
            self.note(part, str(error))
            return {}
        if not isinstance(value, dict):
            self.note(part, f"{path}: a JSON object is wanted, found {type(value).__name__}")
        return mapping(value)

    def rows(self, part: str, path: Path) -> list[Row]:
        try:
            return read_jsonl(path)
        except (OvertonError, OSError) as error:
            self.note(part, str(error))
            return []

    def rows_by_id(self, part: str, path: Path) -> dict[str, Row]:
        return {str(row["id"]): row for row in self.rows(part, path) if "id" in row}

    def answers(self, path: Path, situations: Mapping[str, Situation]) -> dict[str, Row]:
        """Answers by situation: as in the evaluation, those of the user's own may name it by their ``prompt``."""
        by_text = {one_spelling(situation.text): key for key, situation in situations.items()}
        found: dict[str, Row] = {}
        for row in self.rows("examples", path):
            key, prompt = ("" if row.get(name) is None else str(row[name]) for name in ("id", "prompt"))
            if key not in situations:
                key = by_text.get(one_spelling(prompt or key)) or key or prompt
            if key:
                found[key] = row
        return found

    def situations(self, path: Path) -> dict[str, Situation]:
        found: dict[str, Situation] = {}
        for count, row in enumerate(self.rows("examples", path), 1):
            try:
                situation = Situation.from_json(row)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                self.note("examples", f"{path}, row {count}: not a situation ({error!r}); left out")
                continue
            found[situation.id] = situation
        return found

    def verdicts(self, folder: Path) -> dict[str, dict[str, dict[str, Row]]]:
        found: dict[str, dict[str, dict[str, Row]]] = {}
        for path in sorted(folder.glob("*.jsonl")):
            system, dot, metric = path.stem.rpartition(".")
            if dot and (rows := self.rows_by_id("examples", path)):
                found.setdefault(system, {})[metric] = rows
        return found

    def curve(self, path: Path) -> list[Row]:
        # A training that was resumed may have logged a step twice; the later row counts.
        steps = {s: row for row in self.rows("training", path) if (s := number(row.get("step"))) is not None}
        return [steps[s] for s in sorted(steps)]
