"""Triplets judged by a language model, as in the paper (arXiv 2602.20759).

Within one situation, pairs of texts whose cosine by the estimator's base reaches a threshold are judged in falling
order. The first that is the same perspective gives anchor and positive. The most similar one that is not, and shares
a text with it, gives the negative: its other text, with the shared one as anchor.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from overton.data.card import NO_VERDICT
from overton.data.judge import same_perspective
from overton.data.pairs import has_same
from overton.data.refine import Encode, matrices
from overton.data.rows import LabelledPair, TableRow
from overton.errors import DataError
from overton.spelling import one_spelling

if TYPE_CHECKING:
    from overton.llm import LanguageModel

# A topic with hundreds of arguments has tens of thousands of pairs; the most similar are the ones that teach.
_MOST = 50


@dataclass(frozen=True, slots=True)
class Judged:
    """One situation and what was said about its most similar pairs of views.

    Attributes:
        row: the situation.
        pairs: (view, view) in falling order of cosine.
        verdicts: one a pair; ``None`` where no verdict came.
        unasked: the other pairs that reach the cosine, beyond the number that is asked about.
    """

    row: TableRow
    pairs: tuple[tuple[int, int], ...]
    verdicts: tuple[bool | None, ...]
    unasked: tuple[tuple[int, int], ...] = ()


def judge_pairs(
    rows: Sequence[TableRow], encode: Encode, llm: LanguageModel, cosine: float, tally: Counter[str]
) -> list[Judged]:
    """Ask about the pairs of each situation whose cosine is at least ``cosine``, at most 50 of them.

    Args:
        rows: situations of one split.
        encode: texts and their situations to unit vectors.
        llm: who says whether two are the same.
        cosine: threshold.
        tally: pairs judged, those without a verdict, and, of situations that :func:`with_verdicts` gives pairs, those
            beyond the 50 are added.
    """
    texts = [[view.explanation for view in row.views] for row in rows]
    candidates = []
    all_cosines = matrices(encode, texts, [row.situation.text for row in rows])
    for row, own, cosines in zip(rows, texts, all_cosines, strict=True):
        spelt = [one_spelling(text) for text in own]
        near = [(a, b) for a, b in combinations(range(len(own)), 2) if cosines[a, b] >= cosine and spelt[a] != spelt[b]]
        near.sort(key=lambda pair, c=cosines: -c[pair])  # type: ignore[misc]
        candidates.append((tuple(near[:_MOST]), tuple(near[_MOST:])))
        if near[_MOST:] and not _labelled(row):
            tally[f"pairs left out, for want of a place among the {_MOST} that are judged"] += len(near[_MOST:])
    asked = [
        (row.situation.text, own[a], own[b])
        for row, own, (pairs, _) in zip(rows, texts, candidates, strict=True)
        for a, b in pairs
    ]
    answers = same_perspective(llm, asked)
    tally["pairs judged for triplets"] += len(answers)
    tally[f"pairs left out, {NO_VERDICT}"] += answers.count(None)
    stream = iter(answers)
    return [
        Judged(row, pairs, tuple(next(stream) for _ in pairs), unasked)
        for row, (pairs, unasked) in zip(rows, candidates, strict=True)
    ]


def mined_triplets(judged: Sequence[Judged], n: int, seed: int, tally: Counter[str]) -> list[dict[str, str]]:
    """One triplet a situation, of those that have one.

    Args:
        judged: the train split.
        n: triplets wanted; fewer when there are no more.
        seed: decides which.
        tally: situations without a triplet are counted.

    Raises:
        DataError: no situation gives one; the message says whether verdicts are missing.
    """
    found = [triplet for item in judged if (triplet := _triplet(item)) is not None]
    tally["situations without a triplet"] += len(judged) - len(found)
    if not found:
        verdicts = [verdict for item in judged for verdict in item.verdicts]
        if missing := verdicts.count(None):
            raise DataError(
                f"data.miner: no triplets, since {missing} of {len(verdicts)} pairs have no verdict. A dry run ends "
                "here; calls that brought no reply are made again by the same command, and where replies say neither "
                "yes nor no, take another model"
            )
        raise DataError(
            "data.miner: no situation has two perspectives that were judged the same and a third like them that was "
            "not; lower data.mine.cosine, or take the labels of the table"
        )
    return random.Random(f"{seed}/mined").sample(found, min(n, len(found)))


def with_verdicts(judged: Sequence[Judged]) -> list[TableRow]:
    """The situations with the verdicts as labelled pairs, where people labelled none and no cluster has two wordings.

    Pairs below the cosine count as different. Those that reach it without a verdict, be it that none came or that too
    many were more similar to be asked about, are left out, and with them a situation that has no other pair.
    """
    found = []
    for item in judged:
        if _labelled(item.row):
            found.append(item.row)
        elif pairs := _pairs(item):  # without any, all its views would count as different
            found.append(replace(item.row, pairs=pairs))
    return found


def _labelled(row: TableRow) -> bool:
    """Whether people said which views are the same, be it that none are."""
    return bool(row.pairs) or has_same(row)


def _triplet(item: Judged) -> dict[str, str] | None:
    known = dict(zip(item.pairs, item.verdicts, strict=True))
    same = next((pair for pair, verdict in known.items() if verdict), None)
    if same is None:
        return None
    for other in (pair for pair, verdict in known.items() if verdict is False and set(pair) & set(same)):
        (anchor,) = set(other) & set(same)
        (positive,), (negative,) = set(same) - {anchor}, set(other) - {anchor}
        texts = [item.row.views[index].explanation for index in (anchor, positive, negative)]
        if one_spelling(texts[1]) != one_spelling(texts[2]):
            names = ("situation", "anchor", "positive", "negative")
            return dict(zip(names, [item.row.situation.text, *texts], strict=True))
    return None


def _pairs(item: Judged) -> tuple[LabelledPair, ...]:
    known = dict.fromkeys(item.unasked) | dict(zip(item.pairs, item.verdicts, strict=True))
    found = []
    for pair in combinations(range(len(item.row.views)), 2):
        a, b = (item.row.views[index] for index in pair)
        verdict = known.get(pair, False)
        if verdict is not None and one_spelling(a.explanation) != one_spelling(b.explanation):
            found.append(LabelledPair(a.explanation, b.explanation, verdict, (a.stance, b.stance)))
    return tuple(found)
