"""Which texts stand so near a threshold that the rounding of bfloat16 could decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overton.rewards.plan import Plan

# bfloat16 moves a cosine by .0005 (root mean square). A wider margin costs more than it finds: this one brings 7
# answers of 1,000 that would be scored otherwise than in float32 down to less than 1.
MARGIN = 0.001


def near_threshold(
    plan: Plan, references: int, rows: npt.NDArray[np.float32], thresholds: Sequence[float], margin: float = MARGIN
) -> list[int]:
    """Texts of a plan with a cosine that is nearly a threshold: a reference to a segment, or two segments of an answer.

    Args:
        plan: of one group.
        references: their number; they are the plan's first texts.
        rows: (n, d) unit rows of the plan's texts.
        thresholds: cosines at which something is decided.
        margin: what counts as near.

    Returns:
        Indices into ``plan.texts``, ascending.
    """
    sizes = [len(found) for found in plan.segments]
    stop = references + sum(sizes)
    own, wanted = rows[references:stop], rows[:references]
    answer = np.repeat(np.arange(len(sizes)), sizes)
    same = answer[:, None] == answer[None, :]
    np.fill_diagonal(same, False)
    across, within = wanted @ own.T, own @ own.T
    hit = np.zeros(stop, dtype=bool)
    for threshold in thresholds:
        close = np.abs(across - threshold) < margin
        hit[:references] |= close.any(axis=1)
        hit[references:] |= close.any(axis=0) | ((np.abs(within - threshold) < margin) & same).any(axis=1)
    return [int(i) for i in np.flatnonzero(hit)]
