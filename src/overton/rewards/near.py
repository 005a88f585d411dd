"""Which segments stand so near a threshold that the rounding of bfloat16 could decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overton.rewards.plan import Plan

# bfloat16 moves a cosine by .0005 (root mean square). A wider margin costs more than it finds: this one brings 7
# answers of 1,000 that would be scored otherwise than in float32 down to about 1.
MARGIN = 0.001


def near_threshold(
    plan: Plan,
    references: int,
    rows: npt.NDArray[np.float32],
    thresholds: Sequence[float],
    margin: float = MARGIN,
    ties: bool = False,
) -> list[int]:
    """Segments with a cosine that is nearly a threshold: to a reference, or to another segment of their answer.

    A segment's siblings in other answers play no part, so an answer is scored as it would be alone.

    Args:
        plan: of one group.
        references: their number; they are the plan's first texts.
        rows: (n, d) unit rows of the plan's texts.
        thresholds: cosines at which something is decided.
        margin: what counts as near.
        ties: it matters which reference is nearest to a segment that matches, so those with two as near count too.

    Returns:
        Indices into ``plan.texts``, ascending.
    """
    wanted = rows[:references]
    hit = np.zeros(len(rows), dtype=bool)
    start = references
    # Answer by answer: products this small stay on one core, where those of a group would wake the others.
    for found in plan.segments:
        stop = start + len(found)
        own = rows[start:stop]
        across, within = wanted @ own.T, own @ own.T
        np.fill_diagonal(within, 2.0)  # a segment is not compared with itself
        for threshold in thresholds:
            close = np.abs(across - threshold) < margin
            hit[start:stop] |= close.any(axis=0) | (np.abs(within - threshold) < margin).any(axis=1)
        if ties and references > 1 and len(found):
            second, first = np.partition(across, references - 2, axis=0)[-2:]
            hit[start:stop] |= (first >= min(thresholds)) & (first - second < margin)
        start = stop
    return [int(i) for i in np.flatnonzero(hit)]
