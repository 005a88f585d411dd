"""Which of two answers is better, asked in both orders: rows and win rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from overton.evaluation.judge.ask import Call, Judge, Verdict, ask
from overton.evaluation.judge.prompt import load_prompt
from overton.evaluation.judge.reply import Comparison, read_reply
from overton.types import Answer

Row = dict[str, Any]
# What a verdict on the answers in places 1 and 2 means for A, when A stands first and when it stands second.
_A_FIRST = {"1": "a", "2": "b", "tie": "tie"}
_B_FIRST = {"1": "b", "2": "a", "tie": "tie"}
_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}


def compare_answers(
    judges: Sequence[Judge], a: Sequence[Answer], b: Sequence[Answer], questions: Mapping[str, str]
) -> tuple[list[Row], list[Row]]:
    """Let every judge compare two systems on the questions that both answered, each question in both orders.

    Judges favour places: the order is swapped and both verdicts count alike (Zheng et al. 2023, arXiv 2306.05685,
    section 3.4, who call the bias by that name).

    Args:
        judges: who is asked, twice a question.
        a: answers of one system.
        b: answers of the other.
        questions: text by the answers' ids.

    Returns:
        One row a question, and the transcript. A row holds ``id``, ``a`` and ``b`` (systems), ``points`` of A (1 won,
        0 lost, mean over orders and judges; ``None`` unless all verdicts are there), ``judges`` (each one's ``a_first``
        and ``b_first``: ``a``, ``b``, ``tie`` or ``None``), ``reason`` and ``failed`` (a call failed on its way).

    Raises:
        ModelError: a judge cannot be had at all.
    """
    others = {answer.id: answer for answer in b}
    pairs = [(answer, others[answer.id]) for answer in a if answer.id in others]
    calls = []
    for one, other in pairs:
        for order, first, second in (("a_first", one, other), ("b_first", other, one)):
            about = {"a": one.system, "b": other.system, "id": one.id, "order": order}
            texts = {"question": questions[one.id], "first": first.answer, "second": second.answer}
            calls.append(Call(about, texts))
    prompt, schema = load_prompt("pairwise"), Comparison.model_json_schema()
    found = {j.name: ask(j, prompt, calls, _read, schema, "comparisons") for j in judges}
    rows = [
        _row(one, other, {name: (verdicts[2 * i], verdicts[2 * i + 1]) for name, verdicts in found.items()})
        for i, (one, other) in enumerate(pairs)
    ]
    return rows, [verdict.row for verdicts in found.values() for verdict in verdicts]


def pair_summary(rows: Sequence[Row], resamples: int = 2000, seed: int = 0) -> Row:
    """Figures of one pair of systems.

    Args:
        rows: of :func:`compare_answers`.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``a``, ``b``, ``win_rate`` (of A: mean of ``points`` with its interval over questions, a tie counting half),
        ``wins``, ``ties`` and ``losses`` of A (shares of the questions with more, just and less than half the points),
        ``flips`` (share of question and judge whose verdict changed with the order) and ``first`` (share of verdicts,
        ties apart, for the answer that stood first; 0.5 without a bias). Shares are ``None`` where there is nothing to
        count.
    """
    from overton.evaluation.statistics import interval

    points = [row["points"] for row in rows]
    known = [p for p in points if p is not None]
    verdicts = [(v["a_first"], v["b_first"]) for row in rows for v in row["judges"].values()]
    both = [pair for pair in verdicts if None not in pair]
    # The answer that stood first is A's in the first order and B's in the second.
    placed = [v == first for pair in both for v, first in zip(pair, ("a", "b"), strict=True) if v != "tie"]
    return {
        "a": rows[0]["a"] if rows else "",
        "b": rows[0]["b"] if rows else "",
        "win_rate": interval(points, resamples, seed),
        "wins": _share([p > 0.5 for p in known]),
        "ties": _share([p == 0.5 for p in known]),
        "losses": _share([p < 0.5 for p in known]),
        "flips": _share([one != other for one, other in both]),
        "first": _share(placed),
    }


def verdict_of(points: float | None) -> str | None:
    """Points of both orders as one verdict: ``a``, ``b``, ``tie``, or ``None`` where there are none."""
    return None if points is None else "a" if points > 0.5 else "b" if points < 0.5 else "tie"


def judge_points(verdicts: Mapping[str, Any]) -> float | None:
    """Points of A by one judge: the mean of both orders, ``None`` unless both are there."""
    both = (verdicts["a_first"], verdicts["b_first"])
    return None if None in both else fmean(_POINTS[v] for v in both)


def _read(text: str) -> str:
    return read_reply(text, Comparison).winner


def _row(one: Answer, other: Answer, verdicts: Mapping[str, tuple[Verdict[str], Verdict[str]]]) -> Row:
    judges: dict[str, Row] = {}
    for name, (first, second) in verdicts.items():
        judges[name] = {
            "a_first": None if first.value is None else _A_FIRST[first.value],
            "b_first": None if second.value is None else _B_FIRST[second.value],
        }
    points = [judge_points(found) for found in judges.values()]
    known = [p for p in points if p is not None]
    reasons = [f"{name}: {v.reason}" for name, both in verdicts.items() for v in both if v.value is None]
    return {
        "id": one.id,
        "a": one.system,
        "b": other.system,
        "points": fmean(known) if points and len(known) == len(points) else None,
        "judges": judges,
        "reason": "; ".join(dict.fromkeys(reasons)),
        "failed": any(v.failed for both in verdicts.values() for v in both),
    }


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
