"""Intervals and paired tests. Values that could not be scored (``None``) are left out and counted."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95


def interval(values: Sequence[float | None], resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Mean with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: one an answer; ``None`` = could not be scored.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``mean``, ``low``, ``high`` (95%), ``n`` and ``unscored``. Without any value the mean is ``None``;
        with fewer than two the bounds are.
    """
    scored = np.array([v for v in values if v is not None], dtype=float)
    mean = float(scored.mean()) if scored.size else None
    low, high = _bounds(scored, resamples, seed)
    return {
        "mean": mean,
        "low": low,
        "high": high,
        "n": int(scored.size),
        "unscored": len(values) - int(scored.size),
    }


def compare(
    a: Mapping[str, float | None], b: Mapping[str, float | None], resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Paired comparison of two systems on the answers that both have a value for.

    The p-value is that of Wilcoxon's two-sided signed-rank test (1945) in the normal approximation; pairs
    without a difference are split between both sides.

    Args:
        a: value by situation id.
        b: value by situation id.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``difference`` (mean of a - b), ``low``, ``high`` (95% percentile bootstrap), ``p_value``,
        ``relative`` (difference / mean of b, ``None`` when that is 0), ``n`` and ``unscored`` (common ids
        without both values).
    """
    common = [key for key in a if key in b]
    pairs = [(x, y) for x, y in ((a[k], b[k]) for k in common) if x is not None and y is not None]
    first, second = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs], float)
    gaps = first - second
    low, high = _bounds(gaps, resamples, seed)
    base = float(second.mean()) if pairs else 0.0
    difference = float(gaps.mean()) if pairs else None
    return {
        "difference": difference,
        "low": low,
        "high": high,
        "p_value": _p_value(gaps),
        "relative": difference / base if difference is not None and base else None,
        "n": len(pairs),
        "unscored": len(common) - len(pairs),
    }


def seed_of(*parts: object) -> int:
    """A seed from names, the same on every machine and independent of what else is computed."""
    return zlib.crc32("/".join(map(str, parts)).encode())


def _bounds(values: np.ndarray, resamples: int, seed: int) -> tuple[float | None, float | None]:
    from scipy.stats import bootstrap

    if values.size < 2:
        return None, None
    result = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _p_value(gaps: np.ndarray) -> float | None:
    from scipy.stats import wilcoxon

    if gaps.size < 2:
        return None
    gaps = np.round(gaps, 12)  # 3/7 - 2/7 and 2/7 - 1/7 have to be a tie
    if not gaps.any():
        return 1.0
    return float(wilcoxon(gaps, zero_method="zsplit", method="approx").pvalue)
