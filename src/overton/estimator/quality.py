"""How good probabilities of pairs are, and whether the model is usable at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overton.errors import ModelError
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.pairs import Pairs
from overton.estimator.threshold import platt

if TYPE_CHECKING:
    import numpy as np

MAX_RANDOM_COSINE = 0.9
MIN_AUC = 0.6
BINS = 10


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> list[dict[str, float]]:
    """Equal-width bins of predicted probability, for a calibration plot; empty bins are left out.

    Each row has ``low``, ``high``, ``count`` (pairs), ``weight`` (their share of all weight), ``probability``
    and ``positive`` (weighted means).
    """
    import numpy as np

    weights = np.ones(len(labels)) if weights is None else weights
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(probabilities, edges[1:-1]), 0, bins - 1)
    rows = []
    for b in range(bins):
        here = place == b
        if weights[here].sum() > 0:
            rows.append(
                {
                    "low": round(float(edges[b]), 4),
                    "high": round(float(edges[b + 1]), 4),
                    "count": int(here.sum()),
                    "weight": float(weights[here].sum() / weights.sum()),
                    "probability": float(np.average(probabilities[here], weights=weights[here])),
                    "positive": float(np.average(labels[here], weights=weights[here])),
                }
            )
    return rows


def calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> float:
    """Expected calibration error: mean over pairs of |share of positives - mean probability| of their bin.

    Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    rows = reliability(probabilities, labels, weights, bins)
    return sum(row["weight"] * abs(row["positive"] - row["probability"]) for row in rows)


def split_groups(pairs: Pairs, seed: int) -> np.ndarray:
    """(n,) bool: pairs of one half of the situations, drawn by ``seed``."""
    import numpy as np

    half = np.random.default_rng(seed).permutation(int(pairs.groups.max()) + 1) % 2
    return half[pairs.groups] == 1


def held_out_probabilities(cosines: np.ndarray, pairs: Pairs, weights: np.ndarray, seed: int) -> np.ndarray:
    """(n,) probabilities: each half of the situations gets its own from a fit on the other half.

    NaN where the other half has pairs of one label only.
    """
    import numpy as np

    side = split_groups(pairs, seed)
    out = np.full(len(cosines), np.nan)
    for here in (side, ~side):
        labels = pairs.labels[~here]
        if labels.any() and not labels.all():
            slope, intercept = platt(cosines[~here], labels, weights[~here])
            out[here] = 1 / (1 + np.exp(-(slope * cosines[here] + intercept)))
    return out


def health_check(estimator: SimilarityEstimator, pairs: Pairs, cosines: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Whether the model tells perspectives apart at all.

    Args:
        estimator: the model that gave ``cosines``.
        pairs: dev pairs.
        cosines: (n,) cosine of each pair.
        seed: of the random pairs.

    Returns:
        ``random_cosine``: mean cosine of texts of different pairs; ``auc``: ROC AUC on the pairs.

    Raises:
        ModelError: random pairs look alike, or same and different pairs look the same.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    left = estimator.encode(pairs.left, pairs.situations)
    right = estimator.encode(pairs.right, pairs.situations)
    order = np.random.default_rng(seed).permutation(len(cosines))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)  # one cycle through all pairs: nothing is its own partner
    random_cosine = float(np.einsum("ij,ij->i", left, right[partner]).mean())
    auc = float(roc_auc_score(pairs.labels, cosines))
    if random_cosine > MAX_RANDOM_COSINE:
        raise ModelError(
            "the estimator is of no use: random pairs of dev texts have a mean cosine of "
            f"{random_cosine:.2f} (at most {MAX_RANDOM_COSINE} is healthy): the vectors collapsed. Lower "
            "estimator.learning_rate."
        )
    if auc < MIN_AUC:
        raise ModelError(
            "the estimator is of no use: it ranks dev pairs little better than chance "
            f"(ROC AUC {auc:.2f}, at least {MIN_AUC} is healthy). Check the labels of the pairs, or train "
            "longer."
        )
    return {"random_cosine": random_cosine, "auc": auc}
