"""From cosines of labelled pairs to a threshold and to a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overton.errors import MissingDependencyError

if TYPE_CHECKING:
    import numpy as np


def best_f1(cosines: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """The threshold with the highest F1, and that F1.

    A pair is called the same when its cosine is at or above the threshold. Candidates lie half-way between
    neighbouring cosines; of equal ones the highest threshold wins.

    Args:
        cosines: (n,).
        labels: (n,) bool.
        weights: (n,) how often each pair counts; ``None`` = once.

    Returns:
        Threshold and F1; both NaN when no pair of positive weight is positive.
    """
    import numpy as np

    cosines, hits, called, last_of_ties = _ranked(cosines, labels, weights)
    if len(cosines) == 0 or hits[-1] == 0:
        return float("nan"), float("nan")
    f1 = 2 * hits / (called + hits[-1])
    best = int(np.argmax(np.where(last_of_ties, f1, -1.0)))
    return _below(cosines, best), float(f1[best])


def at_precision(cosines: np.ndarray, labels: np.ndarray, precision: float, weights: np.ndarray | None = None) -> float:
    """The lowest threshold at which that share of the pairs called the same are the same.

    Args:
        cosines: (n,).
        labels: (n,) bool.
        precision: wanted, above 0 and at most 1.
        weights: (n,) how often each pair counts; ``None`` = once.

    Returns:
        A cosine half-way between neighbours; NaN when no threshold gets there.
    """
    import numpy as np

    cosines, hits, called, last_of_ties = _ranked(cosines, labels, weights)
    good = np.flatnonzero((hits / called >= precision) & last_of_ties)
    return _below(cosines, int(good[-1])) if len(good) else float("nan")


def _ranked(
    cosines: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of pairs that count, by falling cosine: cosines, positives and pairs so far, and whether the next is lower."""
    import numpy as np

    weights = np.ones(len(cosines)) if weights is None else weights
    keep = weights > 0
    cosines, labels, weights = cosines[keep].astype(np.float64), labels[keep], weights[keep]
    order = np.argsort(-cosines, kind="stable")
    cosines = cosines[order]
    last_of_ties = np.append(cosines[:-1] != cosines[1:], True)[: len(cosines)]
    return cosines, np.cumsum(weights[order] * labels[order]), np.cumsum(weights[order]), last_of_ties


def _below(cosines: np.ndarray, place: int) -> float:
    """Half-way from the cosine at this place to the next."""
    return float((cosines[place] + cosines[min(place + 1, len(cosines) - 1)]) / 2)


def pick_threshold(
    cosines: np.ndarray, labels: np.ndarray, target_precision: float, weights: np.ndarray | None = None
) -> float:
    """The lowest threshold with a precision, or, where that is 0, the one with the best F1; NaN when there is none."""
    if target_precision:
        return at_precision(cosines, labels, target_precision, weights)
    return best_f1(cosines, labels, weights)[0]


def platt(cosines: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Slope and intercept of ``p = sigmoid(slope * cosine + intercept)``.

    Maximum likelihood with Platt's smoothed targets (Platt 1999, "Probabilistic outputs for support vector
    machines", section 2.2): (n+ + 1) / (n+ + 2) for positives, 1 / (n- + 2) for negatives, so that the slope
    stays finite when a threshold separates the classes. Each pair enters as a positive and a negative with
    these weights.

    Args:
        cosines: (n,).
        labels: (n,) bool.
        weights: (n,) how much each pair counts; ``None`` = 1.
    """
    import numpy as np

    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingDependencyError("calibration needs scikit-learn: pip install 'overton[train]'") from None
    weights = np.ones(len(cosines)) if weights is None else weights
    positives = int(labels.sum())
    negatives = len(labels) - positives
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    both = np.concatenate([cosines, cosines]).astype(np.float64)[:, None]
    wanted = np.repeat([1, 0], len(cosines))
    shares = np.concatenate([weights * target, weights * (1 - target)])
    fit = LogisticRegression(C=np.inf, max_iter=1000).fit(both, wanted, shares)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])
