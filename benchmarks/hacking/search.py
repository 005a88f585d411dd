"""Lines that match references of as many situations as possible, found with the reward's own estimator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hacking.case import Case, Line
from hacking.content import GENERIC
from overton.estimator import SimilarityEstimator
from overton.rewards.background import Background

_CANDIDATES = 150
_SITUATIONS = 80


def universal(
    estimator: SimilarityEstimator,
    cases: Sequence[Case],
    seed: int,
    count: int = 8,
    background: Background | None = None,
    weight: float = 0.0,
) -> tuple[Line, ...]:
    """Lines in the order in which each adds the most matched references to those before it.

    Args:
        estimator: what the reward compares with.
        cases: situations to search on; none that is measured.
        seed: decides which lines and situations are tried.
        count: lines wanted.
        background: of the reward.
        weight: of the background.
    """
    rng = random.Random(f"{seed}/search")
    lines = list(dict.fromkeys(line for case in cases for line in case.answer.lines))
    lines = [*GENERIC, *rng.sample(lines, min(_CANDIDATES, len(lines)))]
    tried = rng.sample(list(cases), min(_SITUATIONS, len(cases)))
    texts, contexts = [], []
    for case in tried:
        found = [p.explanation for p in (*case.references, *lines)]
        texts += found
        contexts += [case.prompt] * len(found)
    rows = estimator.encode(texts, contexts)
    matched = []
    start = 0
    for case in tried:
        middle, end = start + len(case.references), start + len(case.references) + len(lines)
        excess = background.excess(rows[middle:end], case.prompt) if background else np.zeros(len(lines))
        matched.append(rows[start:middle] @ rows[middle:end].T - weight * excess >= estimator.threshold)
        start = end
    hits = np.concatenate(matched)  # (references of all, lines)
    chosen: list[int] = []
    covered = np.zeros(len(hits), dtype=bool)
    for _ in range(min(count, len(lines))):
        gains = (hits & ~covered[:, None]).sum(axis=0)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        covered |= hits[:, chosen[-1]]
    return tuple(lines[i] for i in chosen)


def with_universal(cases: Sequence[Case], lines: tuple[Line, ...]) -> list[Case]:
    """Cases whose attackers know these lines."""
    return [replace(case, loot=replace(case.loot, universal=lines)) for case in cases]
