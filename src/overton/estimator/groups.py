"""Labelled pairs as groups of texts, and batches that hold all labelled pairs of their texts.

People label pairs of one situation: an argument against each key point, a perspective against each other. Taken as
triplets most of these comparisons are lost. Here a batch is some texts of some situations, encoded once, and every
labelled pair among them counts.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from overton.errors import DataError
from overton.estimator.pairs import check_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from overton.estimator.preprocess import Prepare


@dataclass(frozen=True, slots=True)
class TextGroups:
    """Texts of situations with their labelled pairs.

    Attributes:
        texts: every distinct (situation, text), as the model reads it.
        groups: of each text, the index of its situation.
        partners: of each text, the other texts it was compared with, and whether they state the same.
        opposite: pairs of texts (lower row first) that differ because one is for and one is against.
        sets: of each situation, the data set it came from, ``""`` when there is only one.
        contradictions: pairs left out because they were labelled both ways.
    """

    texts: tuple[str, ...]
    groups: tuple[int, ...]
    partners: tuple[Mapping[int, bool], ...]
    opposite: frozenset[tuple[int, int]]
    sets: tuple[str, ...]
    contradictions: int


def group_texts(pairs: Sequence[Mapping[str, Any]], prepare: Prepare) -> TextGroups:
    """Prepare labelled pairs for training.

    Args:
        pairs: rows with ``situation``, ``sentence1``, ``sentence2``, ``label`` (0 or 1), and maybe ``relation``
            (``opposite``) and ``set``.
        prepare: applied to each text with its situation. Texts it makes equal are one text.

    Raises:
        DataError: a row lacks a column or has an empty text, or all pairs have one label.
    """
    check_pairs(pairs, "training pairs")
    situations = [pair["situation"] for pair in pairs]
    left = prepare([pair["sentence1"] for pair in pairs], situations)
    right = prepare([pair["sentence2"] for pair in pairs], situations)
    names: dict[str, int] = {}
    index: dict[tuple[int, str], int] = {}
    labels: dict[tuple[int, int], set[bool]] = {}
    opposite: set[tuple[int, int]] = set()
    sets: dict[str, str] = {}
    for pair, one, other in zip(pairs, left, right, strict=True):
        group = names.setdefault(pair["situation"], len(names))
        sets.setdefault(pair["situation"], str(pair.get("set") or ""))
        a, b = (index.setdefault((group, text), len(index)) for text in (one, other))
        if a != b:
            labels.setdefault((min(a, b), max(a, b)), set()).add(bool(pair["label"]))
            if pair.get("relation") == "opposite":
                opposite.add((min(a, b), max(a, b)))
    partners: list[dict[int, bool]] = [{} for _ in index]
    found = set[bool]()
    for (a, b), given in labels.items():
        if len(given) == 1:
            partners[a][b] = partners[b][a] = next(iter(given))
            found |= given
    if len(found) < 2:
        raise DataError(f"training pairs: {len(pairs)} pairs, but not of both labels; an estimator needs both")
    return TextGroups(
        texts=tuple(text for _, text in index),
        groups=tuple(group for group, _ in index),
        partners=tuple(partners),
        opposite=frozenset(key for key in opposite if labels[key] == {False}),
        sets=tuple(sets.values()),
        contradictions=sum(len(given) > 1 for given in labels.values()),
    )


def pair_labels(data: TextGroups, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which texts of a batch state the same, which pairs of them are labelled, and which are for and against.

    Args:
        data: the texts.
        rows: (n,) their row numbers.

    Returns:
        Three (n, n) bool tensors on the device of ``rows``, symmetric, False on the diagonal.
    """
    import torch

    numbers = rows.tolist()
    place = {row: i for i, row in enumerate(numbers)}
    same = torch.zeros(len(numbers), len(numbers), dtype=torch.bool)
    known, opposite = torch.zeros_like(same), torch.zeros_like(same)
    for i, row in enumerate(numbers):
        for other, label in data.partners[row].items():
            if (j := place.get(other)) is not None:
                known[i, j] = True
                same[i, j] = label
                opposite[i, j] = (min(row, other), max(row, other)) in data.opposite
    return same.to(rows.device), known.to(rows.device), opposite.to(rows.device)


class GroupBatches:
    """Batches of row numbers of :attr:`TextGroups.texts`, drawn anew for every epoch.

    Each text comes with the texts it was compared with; what does not fit in one batch goes on in another, until
    every labelled pair was in one. Small situations share a batch. Of a large data set an epoch may take a part.

    Args:
        data: the texts.
        size: texts a batch at most.
        seed: of the draws.
        shares: data set -> share of its labelled pairs that an epoch takes, about; all of the others.
    """

    def __init__(self, data: TextGroups, size: int, seed: int, shares: Mapping[str, float] | None = None) -> None:
        self.data, self.size, self.seed, self.epoch = data, size, seed, 0
        self.shares = shares or {}
        self.members: dict[int, list[int]] = {}
        for row, group in enumerate(data.groups):
            self.members.setdefault(group, []).append(row)
        self.count = len(self._draw())

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        # The trainer has planned for as many batches as the first epoch had; chance gives some more or fewer.
        yield from itertools.islice(itertools.cycle(self._draw()), self.count)

    def _draw(self) -> list[list[int]]:
        rng = random.Random(f"{self.seed}/{self.epoch}")
        of_set: dict[str, list[list[int]]] = {}
        for number, group in self.members.items():
            of_set.setdefault(self.data.sets[number], []).extend(self._chunks(group, rng))
        chunks: list[list[int]] = []
        for name, found in of_set.items():
            chunks += rng.sample(found, math.ceil(self.shares.get(name, 1.0) * len(found)))
        rng.shuffle(chunks)
        batches: list[list[int]] = [[]]
        for chunk in chunks:
            if batches[-1] and len(batches[-1]) + len(chunk) > self.size:
                batches.append([])
            # Two chunks of one situation may share a text.
            batches[-1] += [row for row in chunk if row not in batches[-1]]
        return [batch for batch in batches if len(batch) > 1]

    def _chunks(self, group: list[int], rng: random.Random) -> Iterator[list[int]]:
        """Sets of texts of one situation that hold all its labelled pairs."""
        covered: set[tuple[int, int]] = set()
        chunk: dict[int, None] = {}
        order = rng.sample(group, len(group))
        # A key point that hundreds of arguments were compared with comes along with each of them.
        order.sort(key=lambda row: len(self.data.partners[row]) >= self.size)
        for row in order:
            open_ones = [p for p in self.data.partners[row] if (min(row, p), max(row, p)) not in covered]
            for start in range(0, len(open_ones), self.size - 1):
                part = open_ones[start : start + self.size - 1]
                new = [r for r in (row, *part) if r not in chunk]
                if len(chunk) + len(new) > self.size:
                    yield list(chunk)
                    chunk = dict.fromkeys((row, *part))
                else:
                    chunk |= dict.fromkeys(new)
                covered |= {(min(row, p), max(row, p)) for p in part}
        if chunk:
            yield list(chunk)
