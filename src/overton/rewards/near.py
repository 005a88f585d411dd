"""Which texts stand so near a threshold that the rounding of bfloat16 could decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from overton.rewards.plan import Rows

# bfloat16 moves a cosine by .0005 to .0008 (root mean square). Of 1,000 real answers under preset `overton` 6 had
# another value with half of this margin, and none with it.
MARGIN = 0.001


class Near(NamedTuple):
    """What of one answer has to be looked at in full precision: indices, ascending.

    Attributes:
        references: of the situation's.
        segments: of the answer's.
        summary: of the sentences of its summary.
    """

    references: list[int]
    segments: list[int]
    summary: list[int]


def near_threshold(answers: Sequence[Rows], thresholds: Sequence[float], ties: bool = False) -> list[Near]:
    """Pairs of each answer with a cosine that is nearly a threshold: a segment and a reference, another segment, or a
    sentence of the summary.

    Other answers play no part, so an answer is scored as it would be alone.

    Args:
        answers: unit rows of each.
        thresholds: cosines at which something is decided.
        ties: it matters which reference is nearest to a segment that matches, so two that are as near count too.

    Returns:
        One item an answer.
    """
    found = []
    # Answer by answer: products this small stay on one core, where those of a group would wake the others.
    for answer in answers:
        segments, summary = answer.segments, answer.summary
        across, within = answer.similarity(), segments @ segments.T
        np.fill_diagonal(within, 2.0)  # a segment is not compared with itself
        close, alike = _close(across, thresholds), _close(within, thresholds)
        if ties and across.size:
            first = across.max(axis=0)
            level = (across > first - MARGIN) & (first >= min(thresholds))
            close |= level & (level.sum(axis=0) > 1)
        own = close.any(axis=0) | alike.any(axis=1)
        sentences: list[int] = []
        if len(summary):
            said = _close(segments @ summary.T, thresholds)
            own |= said.any(axis=1)
            sentences = np.flatnonzero(said.any(axis=0)).tolist()
        found.append(Near(np.flatnonzero(close.any(axis=1)).tolist(), np.flatnonzero(own).tolist(), sentences))
    return found


def near_texts(
    preset: Any, threshold: float, rows: Sequence[Sequence[Rows]], places: Sequence[Sequence[Rows]]
) -> tuple[list[list[Near]], list[int]]:
    """What a preset decides by a hair.

    Args:
        preset: of the reward.
        threshold: cosine of a match.
        rows: of each answer of each group.
        places: where each row's text is in one list of texts; of the same form.

    Returns:
        What is near, of each answer of each group, and the places of it all, ascending.
    """
    thresholds = sorted({threshold, getattr(preset, "unique_threshold", threshold)})
    ties = getattr(preset, "nearest_decides", False)
    near = [near_threshold(own, thresholds, ties=ties) for own in rows]
    wanted = {
        int(i)
        for found, where in zip(near, places, strict=True)
        for one, place in zip(found, where, strict=True)
        for part, hit in zip(place[:3], one, strict=True)
        for i in part[hit]
    }
    return near, sorted(wanted)


def _close(cosines: npt.NDArray[np.float32], thresholds: Sequence[float]) -> npt.NDArray[np.bool_]:
    close = np.abs(cosines - thresholds[0]) < MARGIN
    for threshold in thresholds[1:]:
        close |= np.abs(cosines - threshold) < MARGIN
    return close
