"""Scores of single answers: rows of ``evaluation/SYSTEM.judge.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from overton.evaluation.judge.ask import Call, Judge, Verdict, ask
from overton.evaluation.judge.prompt import load_prompt
from overton.evaluation.judge.reply import Scores, read_reply
from overton.types import Answer

ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
METRICS = (*ASPECTS, "judge_mean")
Row = dict[str, Any]


def judge_answers(
    judges: Sequence[Judge], answers: Sequence[Answer], questions: Mapping[str, str]
) -> tuple[list[Row], list[Row]]:
    """Let every judge score every answer on five aspects, 1 to 5 each.

    Args:
        judges: who is asked.
        answers: what is judged; empty ones too.
        questions: text by the answers' ids.

    Returns:
        One row an answer, and the transcript. A row holds ``id``, ``system``, the aspects (mean over the judges),
        ``judge_mean`` (their mean), ``judges`` (each one's own scores, with its ``reason``), ``reason`` and ``failed``
        (a call failed on its way: asked again, there may be scores). A score is ``None``, with the reason, unless every
        judge gave one: a mean over fewer would shift with who is missing.

    Raises:
        ModelError: a judge cannot be had at all.
    """
    prompt = load_prompt("score")
    calls = [Call({"system": a.system, "id": a.id}, {"question": questions[a.id], "answer": a.answer}) for a in answers]
    found = {j.name: ask(j, prompt, calls, _read, Scores.model_json_schema(), "scores") for j in judges}
    rows = [_row(answer, {name: verdicts[i] for name, verdicts in found.items()}) for i, answer in enumerate(answers)]
    return rows, [verdict.row for verdicts in found.values() for verdict in verdicts]


def _read(text: str) -> dict[str, int]:
    scores = read_reply(text, Scores)
    return {aspect: getattr(scores, aspect).score for aspect in ASPECTS}


def _row(answer: Answer, verdicts: Mapping[str, Verdict[dict[str, int]]]) -> Row:
    values = [v.value for v in verdicts.values() if v.value is not None]
    known = len(values) == len(verdicts)
    means: Row = {aspect: fmean(v[aspect] for v in values) if known else None for aspect in ASPECTS}
    return {
        "id": answer.id,
        "system": answer.system,
        **means,
        "judge_mean": fmean(means[aspect] for aspect in ASPECTS) if known else None,
        "judges": {n: {**(v.value or dict.fromkeys(ASPECTS)), "reason": v.reason} for n, v in verdicts.items()},
        "reason": "; ".join(f"{name}: {v.reason}" for name, v in verdicts.items() if v.value is None),
        "failed": any(v.failed for v in verdicts.values()),
    }
