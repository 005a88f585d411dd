"""From rows of judges to figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overton.evaluation.judge.agreement import krippendorff_alpha
from overton.evaluation.judge.pairwise import Row, judge_points, pair_summary, verdict_of
from overton.evaluation.judge.score import ASPECTS, METRICS
from overton.evaluation.statistics import compare_systems, interval, seed_of
from overton.notes import reasons


def system_figures(rows: Sequence[Row], resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Mean and interval by system and metric.

    Args:
        rows: of :func:`~overton.evaluation.judge.score.judge_answers`, of any number of systems.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    return {
        system: {
            metric: interval(
                [r[metric] for r in rows if r["system"] == system], resamples, seed_of(seed, system, metric)
            )
            for metric in METRICS
        }
        for system in dict.fromkeys(row["system"] for row in rows)
    }


def system_comparisons(rows: Sequence[Row], resamples: int = 2000, seed: int = 0) -> list[dict[str, Any]]:
    """Every two systems in every metric, paired by question: rows of ``compare_systems``.

    Args:
        rows: of :func:`~overton.evaluation.judge.score.judge_answers`, of all systems.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    systems = dict.fromkeys(row["system"] for row in rows)
    values = {s: {m: {r["id"]: r[m] for r in rows if r["system"] == s} for m in METRICS} for s in systems}
    return compare_systems(values, resamples, seed)


def judge_figures(
    rows: Sequence[Row], pairs: Sequence[Sequence[Row]], resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Agreement of judges, and win rates.

    Args:
        rows: of :func:`~overton.evaluation.judge.score.judge_answers`, of all systems.
        pairs: rows of :func:`~overton.evaluation.judge.pairwise.compare_answers`, one list a pair of systems.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``agreement``: for each aspect, and for ``winner`` where systems were compared, Krippendorff's ``alpha`` (over
        answers, ordinal; over questions, nominal) with ``units``, how many things two or more judges valued; ``{}``
        with one judge. Of several pairs of systems alpha is the mean of each pair's own, weighted by its units.
        ``pairwise``: :func:`~overton.evaluation.judge.pairwise.pair_summary` of each pair.
    """
    agreement = {}
    if any(len(row["judges"]) > 1 for row in rows):
        for aspect in ASPECTS:
            agreement[aspect] = _agreement([[j[aspect] for j in row["judges"].values()] for row in rows], "ordinal")
    if any(len(row["judges"]) > 1 for pair in pairs for row in pair):
        agreement["winner"] = _winner_agreement(pairs)
    return {
        "agreement": agreement,
        "pairwise": [pair_summary(p, resamples, seed_of(seed, p[0]["a"], p[0]["b"])) for p in pairs if p],
    }


def failures(rows: Sequence[Row]) -> dict[str, int]:
    """Why rows lack a verdict that they may get when asked again, with how many; the most frequent first."""
    return reasons(row for row in rows if row["failed"])


def failure_line(failed: Mapping[str, int]) -> str:
    """What :func:`failures` found, as one line for an error."""
    shown = "; ".join(f"{count} x {reason}" for reason, count in list(failed.items())[:3])
    return f"judges: {sum(failed.values())} verdicts are missing, since calls brought no reply: {shown}"


def _winner_agreement(pairs: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """Pair by pair: verdicts of several in one count would hang on which system of each is called A."""
    each = [
        _agreement([[verdict_of(judge_points(j)) for j in row["judges"].values()] for row in pair], "nominal")
        for pair in pairs
    ]
    known = [found for found in each if found["alpha"] is not None]
    weight = sum(found["units"] for found in known)
    return {
        "alpha": sum(found["alpha"] * found["units"] for found in known) / weight if known else None,
        "units": sum(found["units"] for found in each),
    }


def _agreement(units: list[list[Any]], level: Any) -> dict[str, Any]:
    return {
        "alpha": krippendorff_alpha(units, level),
        "units": sum(sum(value is not None for value in unit) > 1 for unit in units),
    }
