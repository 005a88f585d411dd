"""How far judges agree: Krippendorff's alpha."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import permutations
from typing import Any, Literal

import numpy as np


def krippendorff_alpha(
    units: Sequence[Sequence[Hashable | None]], level: Literal["nominal", "ordinal"]
) -> float | None:
    """Agreement beyond chance: 1 = perfect, 0 = as if values were drawn from a hat, below 0 = systematic dissent.

    From the coincidence matrix, as in Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", sections C
    and D: any number of observers, missing data; ordinal differences count the values between two ranks. Own code,
    since the package of that name is under the GPL.

    Args:
        units: for each judged thing the values that were given, one a judge; ``None`` where a judge gave none. Units
            with fewer than two values are left out.
        level: ``nominal`` for verdicts, ``ordinal`` for grades, which must be comparable with ``<``.

    Returns:
        Alpha, or ``None`` when no two judges valued the same thing, or all values are equal: without any variation
        agreement cannot be told from chance.

    Raises:
        ValueError: another level.
    """
    if level not in ("nominal", "ordinal"):
        raise ValueError(f"level: 'nominal' or 'ordinal' is wanted, got {level!r}")
    pairable = [known for unit in units if len(known := [v for v in unit if v is not None]) > 1]
    present: list[Any] = list({v for unit in pairable for v in unit})
    values = sorted(present) if level == "ordinal" else present
    index = {value: i for i, value in enumerate(values)}
    coincidences = np.zeros((len(values), len(values)))
    for unit in pairable:
        for one, other in permutations(unit, 2):
            coincidences[index[one], index[other]] += 1 / (len(unit) - 1)
    counts = coincidences.sum(axis=1)
    distances = _ordinal(counts) if level == "ordinal" else 1 - np.eye(len(values))
    expected = float((np.outer(counts, counts) * distances).sum())
    if not expected:
        return None
    return 1 - float((counts.sum() - 1) * (coincidences * distances).sum()) / expected


def _ordinal(counts: np.ndarray) -> np.ndarray:
    """Squared differences of ranks: values from one to the other, half of both ends not counted. Shape (v, v)."""
    middle = np.cumsum(counts) - counts / 2
    return (middle[:, None] - middle[None, :]) ** 2
