"""Perspectives of one situation that say the same become one, and short situations are filled up.

The paper drops near-duplicates with a language model as judge and fills situations up to five perspectives with
another (arXiv 2602.20759). Here the cosine of the estimator's base finds the candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, count
from typing import TYPE_CHECKING

import numpy as np

from overton.data.card import NO_REPLY, NO_VERDICT
from overton.data.io import references_of
from overton.data.judge import more_perspectives, same_perspective
from overton.data.rows import TableRow
from overton.matching import Matrix
from overton.spelling import one_spelling
from overton.types import Perspective

if TYPE_CHECKING:
    from overton.llm import LanguageModel

# n texts and the situation of each -> (n, d), rows of length 1.
Encode = Callable[[Sequence[str], Sequence[str]], Matrix]
_CHUNK = 2000
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Refiner:
    """What refines situations.

    Attributes:
        encode: texts to unit vectors.
        merge: cosine from which two perspectives of one situation are near-duplicates.
        perspectives: situations with fewer are filled up; 0 fills none.
        judge: confirms each merge, or ``None`` when the cosine decides alone.
        author: writes new perspectives; wanted with ``perspectives``.
        elsewhere: texts of other splits in one spelling, which no new perspective may have: the situation would leak.
        seed: of the author's sampling.
        tally: what was done, by its name in the card.
    """

    encode: Encode
    merge: float
    perspectives: int = 0
    judge: LanguageModel | None = None
    author: LanguageModel | None = None
    elsewhere: Collection[str] = ()
    seed: int = 0
    tally: Counter[str] = field(default_factory=Counter)

    def __call__(self, rows: Sequence[TableRow]) -> list[TableRow]:
        """Merge, then fill up."""
        merged = self.merged(rows)
        return self.filled(merged) if self.perspectives else merged

    def merged(self, rows: Sequence[TableRow]) -> list[TableRow]:
        """Near-duplicates become one cluster each.

        The first wording stays the reference, the others stay as views. A perspective joins the most similar kept
        one before it; those of opposite stances never join. A situation left with one perspective is dropped.
        """
        candidates = [_candidates(row, cosines, self.merge) for row, cosines in self._cosines(rows)]
        self.tally["near-duplicates found"] += sum(map(len, candidates))
        verdicts = self._verdicts(rows, candidates)
        found = []
        for row, pairs, answers in zip(rows, candidates, verdicts, strict=True):
            if None in answers:
                self.tally[f"situations left as they were, {NO_VERDICT}"] += 1
                found.append(row)
                continue
            joined = _joined([pair for pair, answer in zip(pairs, answers, strict=True) if answer])
            self.tally["perspectives merged"] += len(joined)
            new = _with_clusters(row, joined) if joined else row
            if len(new.situation.perspectives) < 2:
                self.tally["situations dropped, all their perspectives being one"] += 1
                continue
            found.append(new)
        return found

    def filled(self, rows: Sequence[TableRow]) -> list[TableRow]:
        """Situations short of perspectives get new ones, each less similar than ``merge`` to all others.

        What is still short after two questions stays so.
        """
        assert self.author is not None
        found = list(rows)
        open_ = [i for i, row in enumerate(found) if self._missing(row)]
        for turn in range(_ROUNDS):
            asked = [(found[i].situation.text, found[i].situation.perspectives, self._missing(found[i])) for i in open_]
            replies = more_perspectives(self.author, asked, self.seed + turn)
            answered = [(i, new) for i, new in zip(open_, replies, strict=True) if new is not None]
            self.tally[f"situations not filled up, {NO_REPLY}"] += len(open_) - len(answered)
            for i, views in self._distinct([(found[i], new) for i, new in answered], [i for i, _ in answered]):
                self.tally["perspectives added"] += len(views)
                found[i] = _with_views(found[i], views) if views else found[i]
            open_ = [i for i, _ in answered if self._missing(found[i])]
        self.tally["situations still short of perspectives"] += len(open_)
        return found

    def _missing(self, row: TableRow) -> int:
        return max(0, self.perspectives - len(row.situation.perspectives))

    def _distinct(
        self, asked: Sequence[tuple[TableRow, list[Perspective]]], names: Sequence[int]
    ) -> Iterator[tuple[int, list[Perspective]]]:
        """The new perspectives of each situation that are unlike all others, no more than are missing."""
        texts = [[v.explanation for v in (*row.views, *new)] for row, new in asked]
        for name, (row, new), cosines in zip(
            names, asked, self._matrices(texts, [row for row, _ in asked]), strict=True
        ):
            kept = list(range(len(row.views)))
            chosen: list[Perspective] = []
            for index, view in enumerate(new, len(row.views)):
                if len(chosen) == self._missing(row):
                    break
                if cosines[index, kept].max() >= self.merge:
                    self.tally["new perspectives refused, being near-duplicates"] += 1
                elif one_spelling(view.explanation) in self.elsewhere:
                    self.tally["new perspectives refused, another split having the same"] += 1
                else:
                    kept.append(index)
                    chosen.append(view)
            yield name, chosen

    def _cosines(self, rows: Sequence[TableRow]) -> Iterator[tuple[TableRow, Matrix]]:
        texts = [[p.explanation for p in row.situation.perspectives] for row in rows]
        return zip(rows, self._matrices(texts, rows), strict=True)

    def _matrices(self, texts: Sequence[list[str]], rows: Sequence[TableRow]) -> Iterator[Matrix]:
        return matrices(self.encode, texts, [row.situation.text for row in rows])

    def _verdicts(
        self, rows: Sequence[TableRow], candidates: Sequence[list[tuple[int, int]]]
    ) -> list[list[bool | None]]:
        if self.judge is None:
            return [[True] * len(pairs) for pairs in candidates]
        asked = []
        for row, pairs in zip(rows, candidates, strict=True):
            own = row.situation.perspectives
            asked += [(row.situation.text, own[a].explanation, own[b].explanation) for a, b in pairs]
        answers = iter(same_perspective(self.judge, asked))
        return [[next(answers) for _ in pairs] for pairs in candidates]


def matrices(encode: Encode, texts: Sequence[list[str]], situations: Sequence[str]) -> Iterator[Matrix]:
    """Cosines among the texts of each situation, (n, n) each; some thousand situations are encoded at a time."""
    for start in range(0, len(texts), _CHUNK):
        part = texts[start : start + _CHUNK]
        owners = situations[start : start + _CHUNK]
        contexts = [owner for own, owner in zip(part, owners, strict=True) for _ in own]
        vectors = np.asarray(encode([text for own in part for text in own], contexts))
        first = 0
        for own in part:
            block = vectors[first : first + len(own)]
            first += len(own)
            yield block @ block.T


def opposed(a: Perspective, b: Perspective) -> bool:
    """Whether one speaks for the action and the other against it."""
    return {a.stance, b.stance} == {"+", "-"}


def _candidates(row: TableRow, cosines: Matrix, threshold: float) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of references that may be one, in falling order of cosine."""
    own = row.situation.perspectives
    pairs = [
        (a, b)
        for a, b in combinations(range(len(own)), 2)
        if cosines[a, b] >= threshold and not opposed(own[a], own[b])
    ]
    return sorted(pairs, key=lambda pair: -cosines[pair])


def _joined(pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Later reference -> the kept earlier one it joins; pairs come in falling order of cosine."""
    found: dict[int, int] = {}
    for later in sorted({b for _, b in pairs}):
        kept = [a for a, b in pairs if b == later and a not in found]
        if kept:
            found[later] = kept[0]
    return found


def _with_clusters(row: TableRow, joined: dict[int, int]) -> TableRow:
    own = row.situation.perspectives
    taken = {view.cluster for view in row.views}
    free = (name for name in (f"same-{n}" for n in count(1)) if name not in taken)
    names = {kept: own[kept].cluster or next(free) for kept in sorted(set(joined.values()))}
    home: dict[str | Perspective, int] = {}
    for index, reference in enumerate(own):
        home.setdefault(reference.cluster or reference, index)
    views = []
    for view in row.views:
        index = home[view.cluster or view]
        index = joined.get(index, index)
        views.append(replace(view, cluster=names[index]) if index in names else view)
    return _rebuilt(row, views)


def _with_views(row: TableRow, new: Sequence[Perspective]) -> TableRow:
    return _rebuilt(row, [*row.views, *new])


def _rebuilt(row: TableRow, views: Sequence[Perspective]) -> TableRow:
    # An answer that came along was written for other references.
    situation = replace(row.situation, perspectives=references_of(views))
    return replace(row, situation=situation, views=tuple(views), completion="")
