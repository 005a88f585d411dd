"""Triplets and labelled pairs of a table's situations: by their clusters, or as people labelled them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from overton.data.rows import OPPONENTS, SUPPORTERS, LabelledPair, TableRow
from overton.errors import DataError
from overton.spelling import one_spelling
from overton.types import Perspective

# A pair of a situation, and how the two relate.
_Labelled = tuple[TableRow, LabelledPair, str]
_NO_CLUSTERS = (
    "the {split} split has no situation with two perspectives of one cluster: to train and calibrate an "
    "estimator the table needs a `cluster` column in which perspectives that say the same have the same "
    "name, in three situations or more; to only evaluate, or with `estimator.train_on: nothing`, leave the column out"
)
_NOT_MEASURED = "What is measured on pairs says nothing about this part, and it gets no threshold of its own"


def has_same(row: TableRow) -> bool:
    """Whether a situation shows what sameness is."""
    return any(pair.same for pair, _ in labelled_pairs(row)) if row.pairs else bool(_same(row.views))


def says_what_is_the_same(row: TableRow) -> bool:
    """Whether a situation has labelled pairs or clusters, so that its other perspectives are known to differ."""
    return bool(row.pairs) or any(view.cluster for view in row.views)


def table_triplets(rows: Sequence[TableRow], n: int, seed: int) -> list[dict[str, str]]:
    """Triplets from clusters: two wordings of one view against another view of the same situation.

    Args:
        rows: the train split.
        n: triplets wanted; fewer when the table has no more.
        seed: decides the choice.

    Raises:
        DataError: no situation has two perspectives of one cluster.
    """
    rng = random.Random(f"{seed}/triplets")
    anchors = []
    for row in rows:
        texts = {view.explanation: one_spelling(view.explanation) for view in row.views}
        for a, b in _both_ways(row.views):
            taken = (texts[a.explanation], texts[b.explanation])
            others = [c for c in row.views if c.cluster != a.cluster and texts[c.explanation] not in taken]
            if others:
                anchors.append((row, a, b, others))
    if not anchors:
        raise DataError(_NO_CLUSTERS.format(split="train"))
    total = sum(len(others) for *_, others in anchors)
    if total <= 4 * n:
        found = [(row, a, b, c) for row, a, b, others in anchors for c in others]
        rng.shuffle(found)
    else:  # too many to write down: a large cluster has as many pairs as the square of its size
        drawn: dict[tuple[int, str], tuple[TableRow, Perspective, Perspective, Perspective]] = {}
        while len(drawn) < n:
            index = rng.randrange(len(anchors))
            row, a, b, others = anchors[index]
            c = rng.choice(others)
            drawn.setdefault((index, c.explanation), (row, a, b, c))
        found = list(drawn.values())
    return [
        {
            "situation": row.situation.text,
            "anchor": a.explanation,
            "positive": b.explanation,
            "negative": c.explanation,
        }
        for row, a, b, c in found[:n]
    ]


def table_pairs(rows: Sequence[TableRow], n: int, split: str, seed: int, warnings: list[str]) -> list[dict[str, Any]]:
    """:func:`stream_pairs` as a list."""
    return list(stream_pairs(rows, n, split, seed, warnings))


def stream_pairs(
    rows: Sequence[TableRow], n: int, split: str, seed: int, warnings: list[str]
) -> Iterator[dict[str, Any]]:
    """Labelled pairs, half of them the same perspective in other words, or all that there are.

    Args:
        rows: the split's situations.
        n: pairs wanted of each part; fewer when it has no more, and none of a part whose pairs would all have one
            label. 0 = every pair, in the mix that people's labels have. A part with neither labelled pairs nor a
            cluster gives none: nothing says that its perspectives differ.
        split: its name.
        seed: decides the choice.
        warnings: what the card should tell is appended.

    Raises:
        DataError: no situation has two perspectives of one cluster.
    """
    rng = random.Random(f"{seed}/pairs/{split}")
    known = {row.part for row in rows if says_what_is_the_same(row)}
    labelled = [(row, pair, relation) for row in rows if row.part in known for pair, relation in labelled_pairs(row)]
    if not any(pair.same for _, pair, _ in labelled):
        raise DataError(_NO_CLUSTERS.format(split=split))
    for name in dict.fromkeys(row.part for row in rows if row.part not in known):
        effect = "The estimator learns nothing from this part" if split == "train" else _NOT_MEASURED
        warnings.append(
            f"pairs.{split} of {name}: none, since it has neither labelled pairs nor clusters to say what is the same. "
            + effect
        )
    if n:
        # Each part on its own: of all together, a small part would give pairs of one label, or none.
        parts: dict[str, list[_Labelled]] = {}
        for found in labelled:
            parts.setdefault(found[0].part, []).append(found)
        drawn = [
            _half_same(own, n, f"pairs.{split}{name and ' of '}{name}", rng, warnings) for name, own in parts.items()
        ]
        labelled = [found for own in drawn for found in own]
    rng.shuffle(labelled)
    return (
        {
            "situation": row.situation.text,
            "sentence1": pair.sentence1,
            "sentence2": pair.sentence2,
            "label": int(pair.same),
            "relation": relation,
            **({"paraphrase": True} if pair.paraphrase else {}),
            **({"set": row.part} if row.part else {}),
        }
        for row, pair, relation in labelled
    )


def _half_same(own: list[_Labelled], n: int, what: str, rng: random.Random, warnings: list[str]) -> list[_Labelled]:
    """Of the pairs of one part as many same as different ones, ``n`` together or as many as there are."""
    same = [found for found in own if found[1].same]
    different = [found for found in own if not found[1].same]
    half = min(n // 2, len(same), len(different))
    if not half:
        warnings.append(
            f"{what}: none, since all would be {'the same' if same else 'different; no cluster has two perspectives'}. "
            + _NOT_MEASURED
        )
    elif 2 * half < n:
        warnings.append(f"{what}: {n} pairs wanted, the table gives {2 * half}")
    return rng.sample(same, half) + rng.sample(different, half)


def labelled_pairs(row: TableRow) -> list[tuple[LabelledPair, str]]:
    """All pairs of one situation, each with its relation: ``same``, ``opposite`` or ``other``.

    Pairs that people labelled where there are any, else all pairs of the views, by cluster; never of a text with
    itself. Opposite are views of one label, or of no value at all, with opposite stances.
    """
    found = [(pair, _relation(pair, True)) for pair in row.pairs]
    if not found:
        found = _pairs_of_views(row)
    texts = {text for pair, _ in found for text in (pair.sentence1, pair.sentence2)}
    spelt = {text: one_spelling(text) for text in texts}
    return [(pair, relation) for pair, relation in found if spelt[pair.sentence1] != spelt[pair.sentence2]]


def _pairs_of_views(row: TableRow) -> list[tuple[LabelledPair, str]]:
    same = {(a, b) for a, b in _same(row.views)}
    found = []
    for a, b in combinations(row.views, 2):
        if (a, b) in same or not (a.cluster and a.cluster == b.cluster):
            written = "paraphrase" in (a.provenance, b.provenance)
            pair = LabelledPair(a.explanation, b.explanation, (a, b) in same, (a.stance, b.stance), written)
            found.append((pair, _relation(pair, _comparable(a, b))))
    return found


def _same(views: Sequence[Perspective]) -> list[tuple[Perspective, Perspective]]:
    """Pairs that say the same in other words."""
    return [
        (a, b)
        for a, b in combinations(views, 2)
        if a.cluster and a.cluster == b.cluster and one_spelling(a.explanation) != one_spelling(b.explanation)
    ]


def _both_ways(views: Sequence[Perspective]) -> list[tuple[Perspective, Perspective]]:
    """Pairs that say the same in other words, both ways round."""
    return [pair for a, b in _same(views) for pair in ((a, b), (b, a))]


def _comparable(a: Perspective, b: Perspective) -> bool:
    return a.label.casefold() == b.label.casefold() or {a.label, b.label} <= {SUPPORTERS, OPPONENTS}


def _relation(pair: LabelledPair, comparable: bool) -> str:
    if pair.same:
        return "same"
    return "opposite" if comparable and set(pair.stances) == {"+", "-"} else "other"
