"""Side-by-side answers: which situations are shown, and each answer cut into pieces with their verdicts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from overton.report.files import Row, RunFiles, mapping, number
from overton.report.svg import printable
from overton.types import Perspective, Situation

VERDICTS = ("matched", "repeated", "irrelevant", "unclear")
MAX_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of an answer; ``verdict`` is ``""`` for text outside the perspectives (tags, summary)."""

    text: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    """One system's answer.

    Attributes:
        system: who wrote it.
        pieces: the answer's text in order.
        counts: verdict -> number of segments; empty when nothing judged them.
        missed: references that the answer does not state; empty when nothing judged them.
        stated: number of references stated, ``None`` when nothing judged them.
        hidden: characters left out at the end of an overlong answer.
        finished: ``False`` when the token limit cut the answer off.
        note: what the marks come from.
    """

    system: str
    pieces: tuple[Piece, ...]
    counts: dict[str, int]
    missed: tuple[Perspective, ...]
    stated: int | None
    hidden: int
    finished: bool
    note: str


@dataclass(frozen=True, slots=True)
class Example:
    """One situation with the answers of the systems compared."""

    id: str
    text: str
    references: tuple[Perspective, ...]
    answers: tuple[ExampleAnswer, ...]


def choose(files: RunFiles, systems: Sequence[str], count: int, seed: int) -> list[Example]:
    """Draw situations by seed, blind to how well they were answered.

    Args:
        files: the run.
        systems: systems to show; those without answers are left out.
        count: how many situations; all of them when there are fewer.
        seed: the recipe's seed.

    Returns:
        Examples in the order drawn.
    """
    shown = [s for s in systems if s in files.answers]
    if not shown or count <= 0:
        return []
    common = set.intersection(*(set(files.answers[s]) for s in shown))
    if files.situations:
        common &= set(files.situations)
    drawn = random.Random(f"report-{seed}").sample(sorted(common), min(count, len(common)))
    return [_example(files, key, shown) for key in drawn]


def _example(files: RunFiles, key: str, systems: Sequence[str]) -> Example:
    situation = files.situations.get(key)
    if situation is None:
        situation = Situation(key, str(files.answers[systems[0]][key].get("prompt") or ""), ())
    references = tuple({p.cluster or str(i): p for i, p in enumerate(situation.perspectives)}.values())
    answers = tuple(_answer(files, system, situation, references) for system in systems)
    return Example(key, printable(situation.text), references, answers)


def _answer(files: RunFiles, system: str, situation: Situation, references: tuple[Perspective, ...]) -> ExampleAnswer:
    row = files.answers[system][situation.id]
    text = str(row.get("answer") or "")
    metric, judged = _judged(files, system, situation.id)
    pieces = cut(text[:MAX_CHARACTERS], judged.get("segments"))
    counts: dict[str, int] = {}
    for s in _rows(judged.get("segments")):
        if s.get("verdict") in VERDICTS:
            counts[str(s["verdict"])] = counts.get(str(s["verdict"]), 0) + 1
    missed = _missed(judged, references)
    return ExampleAnswer(
        system=system,
        pieces=tuple(pieces),
        counts=counts,
        missed=missed or (),
        stated=None if missed is None or not references else len(references) - len(missed),
        hidden=max(0, len(text) - MAX_CHARACTERS),
        finished=row.get("finished") is not False,
        note=metric,
    )


def _missed(judged: Row, references: tuple[Perspective, ...]) -> tuple[Perspective, ...] | None:
    """References that the evaluator did not find: by cluster, or by one flag a reference."""
    clusters, covered = judged.get("missed"), judged.get("covered")
    if isinstance(clusters, list) and all(p.cluster for p in references):
        return tuple(p for p in references if p.cluster in clusters)
    if isinstance(covered, list) and len(covered) == len(references):
        return tuple(p for p, found in zip(references, covered, strict=True) if not found)
    return None


def _judged(files: RunFiles, system: str, key: str) -> tuple[str, Row]:
    """The first evaluator that says something about this answer's segments; the oracle is asked first."""
    rows = files.verdicts.get(system, {})
    for metric in ("oracle", *sorted(set(rows) - {"oracle"})):
        row = mapping(rows.get(metric, {}).get(key))
        if any(s.get("verdict") in VERDICTS for s in _rows(row.get("segments"))) or (
            row.get("missed") or row.get("covered")
        ):
            return metric, row
    return "", {}


def cut(text: str, segments: object) -> list[Piece]:
    """Cut a text at the segments' offsets.

    Args:
        text: the answer.
        segments: rows with ``start``, ``end`` and ``verdict``; rows that do not fit into the text, or
            overlap an earlier one, are skipped. Without any, the text is cut into lines without verdict.

    Returns:
        Pieces in order. Nothing of the text is lost but space at the pieces' ends.
    """
    pieces: list[Piece] = []
    position = 0
    spans = []
    for s in _rows(segments):
        start, end = number(s.get("start")), number(s.get("end"))
        if start is not None and end is not None and 0 <= start < end:
            verdict = s.get("verdict")
            spans.append((int(start), int(end), verdict if verdict in VERDICTS else ""))
    for start, end, verdict in sorted(spans):
        if start < position or start >= len(text):
            continue
        pieces += _lines(text[position:start])
        pieces.append(Piece(printable(text[start:end]), verdict))
        position = end
    return [p for p in [*pieces, *_lines(text[position:])] if p.text]


def _lines(text: str) -> list[Piece]:
    return [Piece(printable(line)) for line in text.splitlines()]


def _rows(value: object) -> list[Row]:
    return [r for r in value if isinstance(r, dict)] if isinstance(value, list) else []
