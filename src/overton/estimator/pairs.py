"""Labelled pairs as columns, and statistics that resample whole situations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import DataError, MissingDependencyError
from overton.jsonio import read_jsonl

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Pairs:
    """Columns of a file of labelled pairs, each of length n.

    Attributes:
        situations: text of the situation.
        left: first sentence.
        right: second sentence.
        labels: (n,) bool, whether both state the same perspective.
        relations: how the two relate (``same``, ``near``, ``opposite``, ``other``); ``""`` unknown.
        sets: the data set of each, ``""`` where there is only one.
        paraphrases: (n,) bool, whether one of the two was written to say what another text says.
        groups: (n,) int, index of the situation, the unit that is resampled.
    """

    situations: list[str]
    left: list[str]
    right: list[str]
    labels: np.ndarray
    relations: list[str]
    sets: list[str]
    paraphrases: np.ndarray
    groups: np.ndarray

    def only(self, chosen: np.ndarray) -> Pairs:
        """Some of the pairs, by a (n,) bool mask; their situations are numbered anew."""
        import numpy as np

        rows = np.flatnonzero(chosen)
        return Pairs(
            situations=[self.situations[i] for i in rows],
            left=[self.left[i] for i in rows],
            right=[self.right[i] for i in rows],
            labels=self.labels[rows],
            relations=[self.relations[i] for i in rows],
            sets=[self.sets[i] for i in rows],
            paraphrases=self.paraphrases[rows],
            groups=np.unique(self.groups[rows], return_inverse=True)[1],
        )

    def of_sets(self) -> dict[str, np.ndarray]:
        """(n,) bool mask of each data set's pairs, of those sets that have pairs of both labels.

        On pairs of one label nothing can be measured: whatever the model says, all of them are the same, or none is.
        """
        import numpy as np

        names = np.array(self.sets)
        masks = {str(name): names == name for name in sorted(set(self.sets))}
        return {name: here for name, here in masks.items() if 0 < self.labels[here].sum() < here.sum()}

    def weights(self, different_per_same: float) -> np.ndarray:
        """(n,) weights: 1 for a same pair; different pairs weigh that many times as much, taken together.

        Files of pairs hold the two about equally often. Where the estimator is used they are not: each line
        of an answer meets every reference of its situation, and at most one of them says the same. 0 leaves every
        weight at 1.
        """
        import numpy as np

        if different_per_same == 0:
            return np.ones(len(self.labels))
        same = int(self.labels.sum())
        return np.where(self.labels, 1.0, different_per_same * same / (len(self.labels) - same))


def read_pairs(path: Path) -> Pairs:
    """Read ``data/pairs.*.jsonl``.

    Raises:
        DataError: missing, unreadable, a bad row (with its number), or only one class of pairs.
    """
    return pair_columns(read_jsonl(path), str(path))


def pair_columns(rows: Sequence[Mapping[str, Any]], where: str) -> Pairs:
    """Check rows of labelled pairs and turn them into columns.

    Args:
        rows: as ``data/pairs.*.jsonl`` holds them.
        where: for messages.

    Raises:
        DataError: as :func:`read_pairs`.
    """
    import numpy as np

    check_pairs(rows, where)
    labels = np.array([bool(row["label"]) for row in rows])
    if labels.all() or not labels.any():
        raise DataError(f"{where}: all {len(rows)} pairs have label {int(labels[0])}; both labels are needed")
    situations = [row["situation"] for row in rows]
    index = {text: i for i, text in enumerate(dict.fromkeys(situations))}
    return Pairs(
        situations=situations,
        left=[row["sentence1"] for row in rows],
        right=[row["sentence2"] for row in rows],
        labels=labels,
        relations=[str(row.get("relation") or "") for row in rows],
        sets=[str(row.get("set") or "") for row in rows],
        paraphrases=np.array([bool(row.get("paraphrase")) for row in rows]),
        groups=np.array([index[text] for text in situations]),
    )


def check_pairs(rows: Sequence[Mapping[str, Any]], where: str) -> None:
    """Refuse a row without two texts and a label.

    Raises:
        DataError: names the first such row, from 1 on, and the column.
    """
    for number, row in enumerate(rows, 1):
        check_texts(row, ("sentence1", "sentence2"), f"{where}, row {number}")
        if row.get("label") not in (0, 1):
            raise DataError(f"{where}, row {number}: label must be 0 or 1, found {row.get('label')!r}")


def check_texts(row: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Refuse a row that lacks one of these texts, or its situation, which alone may be empty.

    Raises:
        DataError: names the column.
    """
    for name in ("situation", *names):
        value = row.get(name)
        if not isinstance(value, str) or (name != "situation" and not value.strip()):
            raise DataError(f"{where}: {name} must be a text, found {value!r}")


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], groups: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """Values of a statistic over resamples of whole groups (the cluster bootstrap).

    Pairs of one situation depend on each other, so situations are drawn with replacement, not pairs.

    Args:
        statistic: takes (n,) int, how often each pair was drawn; gives k numbers.
        groups: (n,) int, the group of each pair, 0 to m - 1.
        resamples: how many.
        seed: of the draws.

    Returns:
        (resamples, k) float64. A resample on which the statistic is undefined holds NaN.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    size = int(groups.max()) + 1
    values = []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(0, size, size), minlength=size)
        values.append(statistic(drawn[groups]))
    return np.array(values, dtype=np.float64)


def ranking_metrics(labels: np.ndarray, cosines: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Average precision and ROC AUC from one count, for resamples: scikit-learn's two functions count once each and
    look at their arguments six times.

    Args:
        labels: (n,) bool, both kinds with some weight.
        cosines: (n,) without NaN.
        weights: (n,) not negative.

    Returns:
        What ``average_precision_score`` and ``roc_auc_score`` give.

    Raises:
        MissingDependencyError: scikit-learn is not installed, or is older than 1.8.
    """
    import numpy as np

    try:
        from sklearn.metrics import confusion_matrix_at_thresholds
    except ImportError:
        raise MissingDependencyError(
            "the estimator's benchmark needs scikit-learn 1.8 or newer: pip install -U 'overton[train]'"
        ) from None
    _, false, _, true, _ = confusion_matrix_at_thresholds(labels, cosines, sample_weight=weights)
    recall, fall_out = true / true[-1], false / false[-1]
    steps = np.diff(recall, prepend=0.0)
    area = np.diff(fall_out, prepend=0.0) @ (recall - steps / 2)  # trapezoids
    return float(steps @ (true / (true + false))), float(area)


def interval(values: np.ndarray) -> tuple[float, float]:
    """95% percentile interval of bootstrap values, NaN left out."""
    import numpy as np

    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
