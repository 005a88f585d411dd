"""Accuracy@t for all t, so that nobody has to believe in 0.33, and the figures of several NLI models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overton.evaluation.statistics import intervals, seed_of, wilson

THRESHOLDS = tuple(round(i / 100, 2) for i in range(101))
_FIGURES = (
    *("nli_mean", "nli_accuracy", "nli_reverse_mean", "nli_reverse_accuracy"),
    *("coverage", "precision", "f1", "uniqueness"),
)
Row = Mapping[str, Any]


def accuracy_curve(means: Sequence[float | None]) -> dict[str, list[float]]:
    """Share of situations whose mean entailment is above t, for t = 0, 0.01, ... 1.

    Args:
        means: one a situation; ``None`` = could not be scored, left out.

    Returns:
        ``accuracy``, ``low`` and ``high``, 101 numbers each: the share with its interval
        (:func:`~overton.evaluation.statistics.wilson`), which holds for each t by itself. Empty lists without
        any value.
    """
    values = np.array([m for m in means if m is not None], dtype=float)
    if not values.size:
        return {"accuracy": [], "low": [], "high": []}
    above = (values[:, None] > np.array(THRESHOLDS)).sum(axis=0)
    bounds = [wilson(int(k), values.size) for k in above]
    return {
        "accuracy": [round(float(k) / values.size, 4) for k in above],
        "low": [round(low, 4) for low, _ in bounds],
        "high": [round(high, 4) for _, high in bounds],
    }


def nli_part(
    models: Mapping[str, Mapping[str, Sequence[Row]]], resamples: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """What ``summary.json`` holds under ``nli``: one entry a model.

    Args:
        models: name -> system -> rows of :func:`overton.evaluation.nli.nli_rows`.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``model``, ``systems`` (system -> metric -> mean with its interval, as in ``systems`` of the summary) and
        ``curve`` (system -> :func:`accuracy_curve` of ``nli_mean``), models in the order given.
    """
    return [
        {
            "model": model,
            "systems": {
                # The seed of ``systems`` in the summary: one page shows both.
                system: intervals({m: [r[m] for r in rows] for m in _FIGURES}, resamples, seed_of(seed, system))
                for system, rows in systems.items()
            },
            "curve": {system: accuracy_curve([r["nli_mean"] for r in rows]) for system, rows in systems.items()},
        }
        for model, systems in models.items()
    ]
