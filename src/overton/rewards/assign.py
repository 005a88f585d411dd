"""Which segment speaks for which reference, and which segments repeat each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overton.matching import clusters, greedy_matching, optimal_matching

Matrix = npt.NDArray[np.float32]
MATCHINGS = ("optimal", "greedy", "many-to-one")
# The product of two rows differs by some 1e-7 with what else is multiplied beside them. Two references with one text
# are both the nearest, whichever comes out ahead.
_EQUAL = 1e-6


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the arithmetic of preset ``overton`` is made of.

    Attributes:
        pairs: (reference, segment); one a reference, with ``many-to-one`` one a segment that matches.
        best: the segment that stands for each covered reference.
        relevant: (n,) whether a segment matches any reference.
        groups: a cluster number a segment: the same number says the same. Segments that match are told apart by the
            references they are nearest to, all others by their own cosine.
        repeated: segments that say what another one says already.
        charged: of them, those that match a reference.
    """

    pairs: list[tuple[int, int]]
    best: dict[int, int]
    relevant: npt.NDArray[np.bool_]
    groups: list[int]
    repeated: list[int]
    charged: int

    @property
    def relevance(self) -> float:
        """Segments that match, as a share of all. One that works out a view further (``many-to-one``) is not looked
        at."""
        matching = len(self.best) + self.charged
        beside = int((~self.relevant).sum())
        return matching / (matching + beside) if matching else 0.0

    @property
    def uniqueness(self) -> float:
        """Segments that match a reference of their own, as a share of those that match; 0 without any."""
        return len(self.best) / (len(self.best) + self.charged) if self.best else 0.0

    @property
    def repetitions(self) -> tuple[tuple[int, ...], ...]:
        """The clusters of two or more segments."""
        members: dict[int, list[int]] = {}
        for index, group in enumerate(self.groups):
            members.setdefault(group, []).append(index)
        return tuple(tuple(m) for m in members.values() if len(m) > 1)


def assign(similarity: Matrix, own: Matrix, threshold: float, matching: str) -> Assignment:
    """Match segments with references.

    Args:
        similarity: (m, n) cosines of references and segments.
        own: (n, n) cosines of segments.
        threshold: cosine from which two texts say the same (inclusive).
        matching: one of :data:`MATCHINGS`.
    """
    n = similarity.shape[1]
    if not n:
        return Assignment([], {}, np.zeros(0, dtype=bool), [], [], 0)
    same = _same_best(similarity, threshold)
    relevant = same.diagonal().copy()
    beside = ~relevant[:, None] & ~relevant
    units = clusters(np.where(same | beside, own, -1.0), threshold)
    if matching == "many-to-one":
        nearest = _best(similarity).argmax(axis=0)  # of equals the first
        pairs = [(int(nearest[s]), s) for s in range(n) if relevant[s]]
        best: dict[int, int] = {}
        for r, s in pairs:
            if r not in best or similarity[r, s] > similarity[r, best[r]]:
                best[r] = s
        # Several sentences may work out one view, so only those that are alike themselves repeat each other.
        groups = units
    else:
        pairs = _one_to_one(similarity, units, threshold, matching)
        best = dict(pairs)
        groups = clusters(np.where(same, 1.0, np.where(beside, own, -1.0)), threshold)
    standing = set(best.values())
    repeated = _repeated(groups, standing)
    if matching == "many-to-one":
        charged = sum(bool(relevant[s]) for s in repeated)
    else:
        # One that matches and got no reference of its own has nothing new to say, whatever it is alike to.
        charged = int(relevant.sum()) - len(standing)
        repeated = sorted({*repeated, *(s for s in range(n) if relevant[s] and s not in standing)})
    return Assignment(pairs, best, relevant, groups, repeated, charged)


def _repeated(groups: list[int], standing: set[int]) -> list[int]:
    kept: set[int] = set()
    repeated = []
    for i, cluster in sorted(enumerate(groups), key=lambda item: (item[0] not in standing, item[0])):
        if cluster in kept and i not in standing:
            repeated.append(i)
        kept.add(cluster)
    return sorted(repeated)


def _same_best(similarity: Matrix, threshold: float) -> npt.NDArray[np.bool_]:
    """(n, n): whether two segments are best matched by one reference; the diagonal: whether any matches."""
    best = _best(similarity) & (similarity >= threshold)
    return np.any(best[:, :, None] & best[:, None, :], axis=0)


def _best(similarity: Matrix) -> npt.NDArray[np.bool_]:
    """(m, n): whether no reference is nearer to a segment."""
    return np.asarray(similarity >= similarity.max(axis=0) - _EQUAL)


def _one_to_one(similarity: Matrix, units: list[int], threshold: float, matching: str) -> list[tuple[int, int]]:
    """(reference, segment) pairs; of the segments of one unit at most one is matched."""
    match = greedy_matching if matching == "greedy" else optimal_matching
    count = len(set(units))
    if count == len(units):
        return match(similarity, threshold)
    members = [[i for i, g in enumerate(units) if g == unit] for unit in range(count)]
    merged = np.stack([similarity[:, m].max(axis=1) for m in members], axis=1)
    pairs = match(merged, threshold)
    return [(r, max(members[u], key=lambda s, r=r: similarity[r, s])) for r, u in pairs]  # type: ignore[misc]
