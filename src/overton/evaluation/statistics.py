"""Intervals, paired tests, effect sizes. Values that could not be scored (``None``) are left out and counted.

All columns of one table are resampled together: a resample is a row of counts, and the means of every column under
all resamples are one matrix product.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from overton.evaluation.signed_rank import signed_rank_p

CONFIDENCE = 0.95
_BLOCK = 2_000_000  # counts of resamples held together
# Metrics that are 0 or 1 for each answer, by the end of their names.
_SHARES = ("valid_tags", "absolute_coverage", "accuracy")
Array = npt.NDArray[np.float64]
Values = Mapping[str, float | None]  # situation id -> value


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
    return intervals({"": values}, resamples, seed)[""]


def intervals(
    columns: Mapping[str, Sequence[float | None]], resamples: int = 2000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """:func:`interval` of several columns at once; of shares of answers, such as ``valid_tags``, Wilson's interval.

    A column's figures do not depend on which others there are: its resamples follow from the seed and from which of
    its values are missing.

    Args:
        columns: values by name, all of one length.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        What :func:`interval` returns, by name.
    """
    if not columns:
        return {}
    table = np.hstack([_column(values) for values in columns.values()])
    low, high = bootstrap_bounds(table, resamples, seed)
    found = {}
    for index, name in enumerate(columns):
        scored = table[~np.isnan(table[:, index]), index]
        # Resamples of answers that are all alike are alike too: a share of 0 or 1 would have an interval without width.
        if name.endswith(_SHARES) and scored.size > 1 and np.isin(scored, (0, 1)).all():
            low[index], high[index] = wilson(int(scored.sum()), scored.size)
        found[name] = {
            "mean": float(scored.mean()) if scored.size else None,
            "low": _number(low[index]),
            "high": _number(high[index]),
            "n": int(scored.size),
            "unscored": len(table) - int(scored.size),
        }
    return found


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Bounds of a share, ``hits`` of ``n`` (at least 1): the 95% score interval (Wilson 1927, JASA 22)."""
    from scipy.stats import binomtest

    found = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def compare(a: Values, b: Values, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Paired comparison of two systems on the answers that both have a value for.

    The p-value is that of Wilcoxon's two-sided signed-rank test (1945); pairs without a difference are ranked and
    then dropped (Pratt 1959). So of a share, such as valid tags, the answers that change decide. Where up to 25 pairs
    differ it is exact, ties included; where more do it is the normal approximation.

    Args:
        a: value by situation id.
        b: value by situation id.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``difference`` (mean of a - b), ``low``, ``high`` (95% percentile bootstrap), ``p_value``,
        ``relative`` (difference / mean of b, ``None`` when that is 0), ``cohens_dz`` and ``cliffs_delta``
        (:func:`effect_sizes`), ``n`` and ``unscored`` (common ids without both values).
    """
    common = [key for key in a if key in b]
    return _compared(_column([a[k] for k in common]), _column([b[k] for k in common]), resamples, seed)[0]


def compare_systems(
    values: Mapping[str, Mapping[str, Values]], resamples: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """Paired comparisons of every two systems in every metric that both have.

    Args:
        values: system -> metric -> situation id -> value. Later systems are compared against earlier ones.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        One row a pair and metric: ``a``, ``b``, ``metric``, what :func:`compare` says, and ``p_holm``, the p-value
        corrected by :func:`holm` for all rows together.
    """
    rows = []
    for b, a in combinations(values, 2):
        metrics = [m for m in values[b] if m in values[a]]
        groups: dict[tuple[str, ...], list[str]] = {}
        for m in metrics:
            groups.setdefault(tuple(key for key in values[a][m] if key in values[b][m]), []).append(m)
        found: dict[str, dict[str, Any]] = {}
        for keys, own in groups.items():
            first = np.hstack([_column([values[a][m][k] for k in keys]) for m in own])
            second = np.hstack([_column([values[b][m][k] for k in keys]) for m in own])
            found |= zip(own, _compared(first, second, resamples, seed), strict=True)
        rows += [{"a": a, "b": b, "metric": m, **found[m]} for m in metrics]
    for row, corrected in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values of a family of tests, corrected for their number by the step-down method of Holm (1979).

    The i-th smallest of m is multiplied by m - i + 1; none is below a smaller one's, none above 1. Rejecting where the
    corrected value is at most alpha keeps the chance of any false rejection in the family at most alpha.

    Args:
        p_values: of the whole family; ``None`` = no test was possible, and counts for nothing.

    Returns:
        Corrected values in the order given.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[index] = largest
    return corrected


def effect_sizes(gaps: Array) -> tuple[float | None, float | None]:
    """How large paired differences are, in units that metrics share.

    Args:
        gaps: (n,) differences a - b, without NaN.

    Returns:
        Cohen's d_z, mean / standard deviation of the differences (Cohen 1988; Lakens 2013, equation 6), ``None``
        where they do not vary; and Cliff's delta for paired data, share of questions with a > b less share with
        a < b (Cliff 1993, within-pair dominance), ``None`` without any.
    """
    gaps = np.round(gaps, 12)  # 3/7 - 2/7 and 2/7 - 1/7 are one difference
    varies = gaps.size > 1 and np.ptp(gaps) > 0  # the standard deviation of equal ones need not be quite 0
    d_z = float(gaps.mean() / gaps.std(ddof=1)) if varies else None
    return d_z, float(np.sign(gaps).mean()) if gaps.size else None


def bootstrap_bounds(table: Array, resamples: int, seed: int) -> tuple[Array, Array]:
    """Percentile bootstrap bounds of the mean of each column.

    Args:
        table: (n, m); NaN = could not be scored, and left out.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        (m,) lower and (m,) upper bounds; NaN for columns with fewer than two values.
    """
    low, high = np.full(table.shape[1], np.nan), np.full(table.shape[1], np.nan)
    scored = ~np.isnan(table)
    patterns: dict[bytes, list[int]] = {}
    for column in range(table.shape[1]):
        patterns.setdefault(scored[:, column].tobytes(), []).append(column)
    for columns in patterns.values():
        values = table[scored[:, columns[0]]][:, columns]
        n = len(values)
        if n < 2:
            continue
        size = max(1, _BLOCK // n)
        parts = [
            _counts(n, min(size, resamples - start), seed, start) @ values / n for start in range(0, resamples, size)
        ]
        tail = 100 * (1 - CONFIDENCE) / 2
        low[columns], high[columns] = np.percentile(np.concatenate(parts), [tail, 100 - tail], axis=0)
    return low, high


def seed_of(*parts: object) -> int:
    """A seed from names, the same on every machine and independent of what else is computed."""
    return zlib.crc32("/".join(map(str, parts)).encode())


@lru_cache(maxsize=4)
def _counts(n: int, resamples: int, seed: int, start: int) -> Array:
    """(resamples, n): how often each of n values is drawn. Pairs of systems often have equally many questions."""
    rng = np.random.default_rng([abs(seed), start])
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def _compared(first: Array, second: Array, resamples: int, seed: int) -> list[dict[str, Any]]:
    """One comparison a column of two (n, m) tables."""
    differences = first - second
    low, high = bootstrap_bounds(differences, resamples, seed)
    rows = []
    for column in range(differences.shape[1]):
        scored = ~np.isnan(differences[:, column])
        gaps = differences[scored, column]
        base = float(second[scored, column].mean()) if gaps.size else 0.0
        difference = float(gaps.mean()) if gaps.size else None
        d_z, delta = effect_sizes(gaps)
        rows.append(
            {
                "difference": difference,
                "low": _number(low[column]),
                "high": _number(high[column]),
                "p_value": signed_rank_p(gaps),
                "relative": difference / base if difference is not None and base else None,
                "cohens_dz": d_z,
                "cliffs_delta": delta,
                "n": int(gaps.size),
                "unscored": len(differences) - int(gaps.size),
            }
        )
    return rows


def _column(values: Sequence[float | None]) -> Array:
    """(n, 1), NaN for ``None``."""
    return np.array([np.nan if v is None else v for v in values], dtype=float).reshape(-1, 1)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
