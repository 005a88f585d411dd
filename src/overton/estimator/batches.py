"""From triplets to batches that are hard: perspectives that people confuse, side by side.

Texts joined by a chain of "same perspective" pairs form a cluster. Two clusters are confusable when a triplet
names one as the negative of the other. A batch is filled with groups of confusable clusters, two texts of
each, and every pair of its texts is a labelled pair: a triplet's one comparison becomes hundreds, and two
texts of one cluster are never taken for a negative, as they would be by plain in-batch negatives.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GROUP = 8  # confusable clusters side by side
_TEXTS = 2  # of each cluster


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Triplets as texts with cluster labels.

    Attributes:
        texts: every distinct text.
        labels: cluster of each text, 0 to m - 1.
        counts: how often the triplets hold each text.
        confusable: for each cluster, how often a triplet sets it against which other.
        anchors: cluster of each triplet's anchor.
    """

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    counts: tuple[int, ...]
    confusable: Mapping[int, Mapping[int, int]]
    anchors: tuple[int, ...]


def label_texts(anchors: Sequence[str], positives: Sequence[str], negatives: Sequence[str]) -> LabelledTexts:
    """Cluster the texts of triplets.

    Args:
        anchors: n texts.
        positives: of each, a text with the same perspective.
        negatives: of each, a text with another one.
    """
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for anchor, positive, negative in zip(anchors, positives, negatives, strict=True):
        parent[root(anchor)] = root(positive)
        root(negative)
    names: dict[str, int] = {}
    labels = {text: names.setdefault(root(text), len(names)) for text in list(parent)}
    counts = Counter([*anchors, *positives, *negatives])
    confusable: dict[int, Counter[int]] = {label: Counter() for label in names.values()}
    for anchor, negative in zip(anchors, negatives, strict=True):
        a, b = labels[anchor], labels[negative]
        if a != b:
            confusable[a][b] += 1
            confusable[b][a] += 1
    return LabelledTexts(
        texts=tuple(labels),
        labels=tuple(labels.values()),
        counts=tuple(counts[text] for text in labels),
        confusable=confusable,
        anchors=tuple(labels[a] for a in anchors),
    )


class ConfusableBatches:
    """Batches of row numbers of :attr:`LabelledTexts.texts`, drawn anew for every epoch.

    An epoch has as many texts as there are; chance says which, by how often the triplets hold them.

    Args:
        data: the texts.
        triplets: triplets a batch; it holds three times as many texts.
        seed: of the draws.
    """

    def __init__(self, data: LabelledTexts, triplets: int, seed: int) -> None:
        self.data, self.seed, self.epoch = data, seed, 0
        self.size = 3 * triplets
        self.count = math.ceil(len(data.texts) / self.size)
        self.rows: dict[int, list[int]] = {}
        for row, label in enumerate(data.labels):
            self.rows.setdefault(label, []).append(row)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        rng = random.Random(f"{self.seed}/{self.epoch}")
        seeds: list[int] = []
        for _ in range(self.count):
            chosen: dict[int, list[int]] = {}
            size, tries = 0, 0
            while size < self.size and tries < 4 * self.size:
                tries += 1
                if not seeds:
                    seeds = rng.sample(self.data.anchors, len(self.data.anchors))
                for label in self._group(seeds.pop(), chosen, rng):
                    if size >= self.size:
                        break
                    chosen[label] = self._draw(self.rows[label], rng)
                    size += len(chosen[label])
            yield [row for rows in chosen.values() for row in rows]

    def _group(self, seed: int, taken: Mapping[int, Any], rng: random.Random) -> list[int]:
        """A cluster and those it is most often set against, directly or through one another."""
        group: list[int] = []
        weights: Counter[int] = Counter({seed: 1})
        while len(group) < GROUP:
            open_ones = [(n + rng.random(), c) for c, n in weights.items() if c not in taken and c not in group]
            if not open_ones:
                break
            group.append(max(open_ones)[1])
            weights.update(self.data.confusable[group[-1]])
        return group

    def _draw(self, rows: list[int], rng: random.Random) -> list[int]:
        """Distinct rows of a cluster, often used texts more often."""
        if len(rows) <= _TEXTS:
            return rows
        keys = {row: rng.random() ** (1 / self.data.counts[row]) for row in rows}  # Efraimidis and Spirakis 2006
        return sorted(rows, key=keys.__getitem__, reverse=True)[:_TEXTS]


def batch_sampler(batches: Any) -> Callable[..., Any]:
    """A factory for the trainer's ``batch_sampler`` argument.

    Args:
        batches: gives the batches of its ``epoch`` and their number, as :class:`ConfusableBatches` and
            :class:`overton.estimator.groups.GroupBatches` do.
    """
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class Sampler(DefaultBatchSampler):
        """The batches in the library's clothes."""

        def __iter__(self) -> Iterator[list[int]]:
            batches.epoch = self.epoch
            return iter(batches)

        def __len__(self) -> int:
            return len(batches)

    return Sampler
