"""Probabilities of entailment for a fraction of the multiplications: bfloat16 for all, float32 for what decides.

A figure needs few of its probabilities exactly: of a reference's sentences only the likeliest, and of all others no
more than their side of a threshold. So every pair is first read in bfloat16. The gap between both precisions, in
logits, is measured on a sample and on the likeliest pairs, read again in float32; so is then every pair that could be
a maximum, or on the other side of the threshold, within twice the largest gap seen so far, until none is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from overton.evaluation.nli_model import Advance, NliModel, Pair

_SAMPLE = 64  # pairs whose gap is measured, evenly over the lengths, beside the likeliest of each group
_MARGIN = 2.0  # times the largest gap seen
_TINY = 1e-7  # float32 tells no probability nearer to 0 or 1


def screened(
    model: NliModel,
    pairs: Iterable[Pair],
    maxima: Sequence[Sequence[Pair]],
    threshold: float | None = None,
    advance: Advance | None = None,
) -> dict[Pair, float]:
    """P(entailment) of each distinct pair; all in float32 when the model is not ``fast``.

    Args:
        model: the cross-encoder.
        pairs: (premise, hypothesis).
        maxima: groups of those pairs whose largest probability must be float32's.
        threshold: every probability must be on float32's side of it; ``None`` = no matter.
        advance: called with the number of pairs done since the last call.

    Returns:
        Probabilities; those that decide nothing may be off by what bfloat16 rounds.
    """
    if not model.fast:
        return model.probabilities(pairs, advance)
    rough = model.probabilities(pairs, advance, rough=True)
    order = list(rough)  # by length
    if not order:
        return {}
    place = {pair: number for number, pair in enumerate(order)}
    groups = [np.array([place[pair] for pair in group]) for group in maxima if group]
    first = _logits(np.array([rough[pair] for pair in order]))
    logits, exact = first.copy(), np.zeros(len(order), dtype=bool)
    sample = np.linspace(0, len(order) - 1, _SAMPLE).astype(int)
    wanted = np.unique(np.concatenate([sample, [group[first[group].argmax()] for group in groups]]).astype(int))
    found: dict[Pair, float] = {}
    while len(wanted):
        new = model.probabilities([order[i] for i in wanted])
        found.update(new)
        logits[wanted] = _logits(np.array([new[order[i]] for i in wanted]))
        exact[wanted] = True
        gap = _MARGIN * float(np.abs(logits - first)[exact].max())
        wanted = np.flatnonzero(_open(logits, np.where(exact, 0.0, gap), groups, threshold) & ~exact)
    return rough | found


def _open(
    logits: npt.NDArray[np.float64],
    gap: npt.NDArray[np.float64],
    groups: Sequence[npt.NDArray[np.int64]],
    threshold: float | None,
) -> npt.NDArray[np.bool_]:
    """Which pairs could still be their group's maximum, or on the other side of the threshold."""
    low, high = logits - gap, logits + gap
    found = np.zeros(len(logits), dtype=bool)
    for group in groups:
        found[group] |= high[group] >= low[group].max()
    if threshold is not None:
        border = float(_logits(np.array([threshold]))[0])
        found |= (low <= border) & (border <= high)
    return found


def _logits(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    inside = np.clip(probabilities.astype(float), _TINY, 1 - _TINY)
    return np.asarray(np.log(inside) - np.log1p(-inside))
