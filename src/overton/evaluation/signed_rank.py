"""The p-value of Wilcoxon's signed-rank test (1945)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_EXACT = 25  # pairs that differ; up to here the p-value is counted, above it is the normal approximation
Array = npt.NDArray[np.float64]


def signed_rank_p(gaps: Array) -> float | None:
    """Two-sided p-value: exact where at most 25 pairs differ, ties included, else by the normal approximation.

    Args:
        gaps: (n,) differences, without NaN. Those that are 0 are ranked and then dropped (Pratt 1959).

    Returns:
        ``None`` with fewer than two pairs, 1 where none differs.
    """
    from scipy.stats import wilcoxon

    if gaps.size < 2:
        return None
    gaps = np.round(gaps, 12)  # 3/7 - 2/7 and 2/7 - 1/7 have to be a tie
    if not gaps.any():
        return 1.0
    if np.count_nonzero(gaps) <= _EXACT:
        return _exact(gaps)
    return float(wilcoxon(gaps, zero_method="pratt", method="approx").pvalue)


def _exact(gaps: Array) -> float:
    """Share of all signs of the differences under which the sum of positive ranks is as far from its middle."""
    from scipy.stats import rankdata

    # Ties have half ranks, so twice a rank is a whole number, and sums can be counted one rank after another.
    doubled = np.rint(2 * rankdata(np.abs(gaps))).astype(int)
    ranks = doubled[gaps != 0]
    total, least = int(ranks.sum()), int(ranks.min())
    # Ranks begin after the pairs without a difference, which may be thousands: sums are counted above the least rank.
    signs = np.zeros((len(ranks) + 1, total - least * len(ranks) + 1))  # how many signs give (number, sum) of positives
    signs[0, 0] = 1
    for rank in ranks - least:
        signs[1:, rank:] += signs[:-1, : signs.shape[1] - rank].copy()
    sums = least * np.arange(signs.shape[0])[:, None] + np.arange(signs.shape[1])
    far = np.abs(2 * sums - total) >= abs(2 * int(doubled[gaps > 0].sum()) - total)
    return float(signs[far].sum() / signs.sum())
