"""What the evaluation stage does with judges: their files in the run, and their part of ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from overton.evaluation.judge.ask import Judge
from overton.evaluation.judge.pairwise import Row, compare_answers
from overton.evaluation.judge.score import judge_answers
from overton.evaluation.judge.summary import failures, judge_figures
from overton.jsonio import write_jsonl
from overton.types import Answer, Situation


def judge_system(
    judges: Sequence[Judge], name: str, answers: Sequence[Answer], situations: Mapping[str, Situation], folder: Path
) -> list[Row]:
    """Rows of ``SYSTEM.judge.jsonl``; the transcript goes to ``judge/SYSTEM.jsonl`` below the folder."""
    rows, transcript = judge_answers(judges, _named(name, answers), {i: s.text for i, s in situations.items()})
    write_jsonl(folder / "judge" / f"{name}.jsonl", transcript)
    return rows


def judge_part(
    judges: Sequence[Judge],
    rows: Mapping[str, Sequence[Row]],
    systems: Mapping[str, Sequence[Answer]],
    situations: Mapping[str, Situation],
    folder: Path,
    *,
    pairwise: bool,
    resamples: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Agreement, and with ``pairwise`` every two systems compared; see :func:`judge_figures`. Also :func:`failures`.

    Rows and transcript of the comparisons of A and B go to ``judge/A-vs-B.rows.jsonl`` and ``judge/A-vs-B.jsonl`` below
    the folder. A is the later system, as in ``comparisons``.
    """
    questions = {i: s.text for i, s in situations.items()}
    pairs: list[list[Row]] = []
    for b, a in combinations(systems, 2) if pairwise else ():
        found, transcript = compare_answers(judges, _named(a, systems[a]), _named(b, systems[b]), questions)
        write_jsonl(folder / "judge" / f"{a}-vs-{b}.rows.jsonl", found)
        write_jsonl(folder / "judge" / f"{a}-vs-{b}.jsonl", transcript)
        pairs.append(found)
    graded = [row for own in rows.values() for row in own]
    failed = failures([*graded, *(row for found in pairs for row in found)])
    return judge_figures(graded, pairs, resamples, seed), failed


def _named(name: str, answers: Sequence[Answer]) -> list[Answer]:
    """A file of answers is a system, whatever its rows call themselves."""
    return [replace(answer, system=name) for answer in answers]
