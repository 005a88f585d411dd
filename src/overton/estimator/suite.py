"""How well a model agrees with people: Key Point Analysis 2021 and PERSPECTRUM, with their labels and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from overton.data.argkp import KeyPointGroup
from overton.data.pairs import table_pairs
from overton.data.perspectrum import read_perspectrum
from overton.data.splits import texts_of
from overton.errors import DataError, MissingDependencyError
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.pairs import Pairs, pair_columns

if TYPE_CHECKING:
    import numpy as np


def argkp_scores(estimator: SimilarityEstimator, groups: Sequence[KeyPointGroup]) -> list[np.ndarray]:
    """Cosines of every argument with every key point of its side: one (arguments, key points) array a group."""
    texts = [text for g in groups for text in (*g.arguments, *g.key_points)]
    topics = [g.topic for g in groups for _ in (*g.arguments, *g.key_points)]
    rows = estimator.encode(texts, topics, "Key Point Analysis")
    found, start = [], 0
    for g in groups:
        middle = start + len(g.arguments)
        stop = middle + len(g.key_points)
        found.append(rows[start:middle] @ rows[middle:stop].T)
        start = stop
    return found


def matching_precision(group: KeyPointGroup, scores: np.ndarray, relaxed: bool) -> float:
    """Average precision of one topic and stance, as the shared task measures it.

    Each argument is matched with its best key point; the half of the arguments with the highest scores is kept;
    the figure is the average precision of their ranking. A pair without a label counts as no match (strict) or as a
    match (relaxed). No match among the kept ones gives 0. Source: Friedman et al. 2021 (arXiv 2110.10577), section
    4.1, and the task's ``code/track_1_kp_matching.py`` in its final form.

    Args:
        group: arguments, key points and labels.
        scores: (arguments, key points).
        relaxed: which of the two.
    """
    import numpy as np

    try:
        from sklearn.metrics import average_precision_score
    except ImportError:
        raise MissingDependencyError("the benchmark needs scikit-learn: pip install 'overton[train]'") from None
    best = scores.argmax(1)
    top = scores[np.arange(len(best)), best]
    kept = np.argsort(-top, kind="stable")[: len(best) // 2]
    right = np.array([group.labels.get((int(i), int(best[i])), relaxed) for i in kept], dtype=bool)
    if not right.any():
        return 0.0
    return float(average_precision_score(right, top[kept]))


def labelled_key_points(groups: Sequence[KeyPointGroup], where: str) -> Pairs:
    """Every labelled pair of argument and key point; the unit of resampling is the topic.

    Raises:
        DataError: all pairs have one label.
    """
    rows = [
        {"situation": g.topic, "sentence1": g.arguments[a], "sentence2": g.key_points[k], "label": int(label)}
        for g in groups
        for (a, k), label in g.labels.items()
    ]
    return pair_columns(rows, where)


@dataclass(frozen=True, slots=True)
class ClaimPairs:
    """Every pair of perspectives of PERSPECTRUM claims.

    Attributes:
        pairs: all of them; the label is whether they share a cluster.
        subsets: name -> (n,) bool: ``all``, ``same_stance`` (pairs of opposite stance left out), ``no_paraphrases``
            (pairs of which one was written to say what another one says left out).
    """

    pairs: Pairs
    subsets: dict[str, np.ndarray]


def claim_pairs(folder: Path, split: str) -> ClaimPairs:
    """Read the pairs of one official split, without the claims that share a text with a later or another split.

    Args:
        folder: PERSPECTRUM's three files.
        split: ``dev`` or ``test`` drops claims that share a text with train; ``train`` those with dev or test.

    Raises:
        DataError: the files are unusable, or the split has no claim.
    """
    import numpy as np

    rows = read_perspectrum(folder, [])
    other = {text for row in rows if row.split != split for text in texts_of(row)}
    own = [row for row in rows if row.split == split and not other & set(texts_of(row))]
    if not own:
        raise DataError(f"{folder}: no claim of split {split!r} is there")
    pairs = pair_columns(table_pairs(own, 0, split, 0, []), f"{folder} ({split})")
    everything = np.ones(len(pairs.labels), dtype=bool)
    opposite = np.array([relation == "opposite" for relation in pairs.relations])
    return ClaimPairs(pairs, {"all": everything, "same_stance": ~opposite, "no_paraphrases": ~pairs.paraphrases})
