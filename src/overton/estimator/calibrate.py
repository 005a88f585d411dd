"""From dev pairs to a threshold, a probability and a verdict on whether the model is usable at all."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import MissingDependencyError, ModelError
from overton.estimator.calibration import Calibration
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.pairs import Pairs, bootstrap, interval
from overton.progress import console

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 1000
MAX_RANDOM_COSINE = 0.9
MIN_AUC = 0.6
BINS = 10


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

    weights = np.ones(len(cosines)) if weights is None else weights
    keep = weights > 0
    cosines, labels, weights = cosines[keep].astype(np.float64), labels[keep], weights[keep]
    order = np.argsort(-cosines, kind="stable")
    cosines = cosines[order]
    hits = np.cumsum(weights[order] * labels[order])
    called = np.cumsum(weights[order])
    if len(cosines) == 0 or hits[-1] == 0:
        return float("nan"), float("nan")
    f1 = 2 * hits / (called + hits[-1])
    last_of_ties = np.append(cosines[:-1] != cosines[1:], True)
    best = int(np.argmax(np.where(last_of_ties, f1, -1.0)))
    below = cosines[best + 1] if best + 1 < len(cosines) else cosines[best]
    return float((cosines[best] + below) / 2), float(f1[best])


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

    weights = np.ones(len(cosines)) if weights is None else weights
    keep = weights > 0
    cosines, labels, weights = cosines[keep].astype(np.float64), labels[keep], weights[keep]
    order = np.argsort(-cosines, kind="stable")
    cosines = cosines[order]
    share = np.cumsum(weights[order] * labels[order]) / np.cumsum(weights[order])
    last_of_ties = np.append(cosines[:-1] != cosines[1:], True)[: len(cosines)]
    good = np.flatnonzero((share >= precision) & last_of_ties)
    if not len(good):
        return float("nan")
    last = int(good[-1])
    below = cosines[last + 1] if last + 1 < len(cosines) else cosines[last]
    return float((cosines[last] + below) / 2)


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


def calibrate(
    estimator: SimilarityEstimator,
    pairs: Pairs,
    *,
    model_hash: str,
    data_hash: str,
    different_per_same: float = 1.0,
    target_precision: float = 0.0,
    seed: int = 0,
) -> tuple[Calibration, dict[str, Any]]:
    """Measure what the model's cosines mean, on all pairs and on each data set's own.

    Args:
        estimator: a model without calibration.
        pairs: dev pairs, nothing of which was trained on.
        model_hash: of the model's folder.
        data_hash: of the file of pairs.
        different_per_same: how many different pairs there are for each same pair where the estimator is used;
            pairs are weighted to this mix, in every figure. 0 leaves them as they are.
        target_precision: the threshold is the lowest with this precision; 0 = the one with the best F1.
        seed: of the bootstrap and the halves.

    Returns:
        The calibration, and how good it is: ``calibration_error`` and ``brier`` of probabilities that were
        fitted on the other half of the situations, ``random_cosine``, ``auc``; with several data sets ``sets``:
        name -> the same for its pairs alone, calibration's fields included. A data set whose pairs all have one label
        is left out of ``sets``, and named on the console.

    Raises:
        ModelError: the health check fails, or no threshold has the target precision.
    """
    import numpy as np

    both = estimator.encode([*pairs.left, *pairs.right], [*pairs.situations] * 2, "Calibrating the estimator")
    cosines = np.einsum("ij,ij->i", both[: len(pairs.left)], both[len(pairs.left) :]).astype(np.float64)
    health = health_check(estimator, pairs, cosines, seed)
    hashes = (model_hash, data_hash)
    settings = (different_per_same, target_precision, seed)
    calibration, quality = _measure(cosines, pairs, hashes, *settings)
    measurable = {name: here for name, here in pairs.of_sets().items() if name}
    if one_label := sorted(set(pairs.sets) - set(measurable) - {""}):
        console.print(
            f"No threshold of its own for {', '.join(one_label)}: dev pairs of one label only. The threshold of all "
            "pairs together serves there; clusters in the data would give it one.",
            markup=False,
        )
    sets: dict[str, Any] = {}
    for name, here in measurable.items():
        own, how_good = _measure(cosines[here], pairs.only(here), hashes, *settings, name)
        sets[name] = {k: v for k, v in asdict(own).items() if not k.endswith("_hash")} | how_good
    quality |= {**health, "different_per_same": different_per_same, "target_precision": target_precision}
    return calibration, quality | ({"sets": sets} if sets else {})


def _measure(
    cosines: np.ndarray,
    pairs: Pairs,
    hashes: tuple[str, str],
    different_per_same: float,
    target_precision: float,
    seed: int,
    data_set: str = "",
) -> tuple[Calibration, dict[str, Any]]:
    """Threshold, probabilities and their quality on some pairs, of both labels."""
    import numpy as np

    def pick(weights: np.ndarray) -> float:
        return pick_threshold(cosines, pairs.labels, target_precision, weights)

    weights = pairs.weights(different_per_same)
    threshold = pick(weights)
    if np.isnan(threshold):  # the best F1 always exists; a precision may be out of reach
        whose = f"the dev pairs of {data_set}" if data_set else "dev pairs"
        raise ModelError(f"estimator.target_precision: no threshold has a precision of {target_precision} on {whose}")
    draws = bootstrap(lambda drawn: np.array([pick(drawn * weights)]), pairs.groups, RESAMPLES, seed)
    low, high = interval(draws[:, 0])
    slope, intercept = platt(cosines, pairs.labels, weights)
    called = cosines >= threshold
    hits = weights[called & pairs.labels].sum()
    calibration = Calibration(
        threshold=threshold,
        low=min(low, threshold),
        high=max(high, threshold),
        slope=slope,
        intercept=intercept,
        f1=float(2 * hits / (weights[called].sum() + weights[pairs.labels].sum())),
        precision=float(hits / weights[called].sum()),
        recall=float(hits / weights[pairs.labels].sum()),
        pairs=len(cosines),
        model_hash=hashes[0],
        data_hash=hashes[1],
    )
    held_out = held_out_probabilities(cosines, pairs, weights, seed)
    judged = np.isfinite(held_out)
    quality: dict[str, Any] = {"calibration_error": None, "brier": None}
    if judged.any():
        found = held_out[judged], pairs.labels[judged], weights[judged]
        quality["calibration_error"] = calibration_error(*found)
        quality["brier"] = float(np.average((found[0] - found[1]) ** 2, weights=found[2]))
    return calibration, quality


def calibration_record(calibration: Calibration, quality: dict[str, Any], path: Path, seed: int) -> dict[str, Any]:
    """What ``calibration.json`` holds: the calibration's fields, its quality, where it comes from."""
    from overton.rundir import versions

    return {**asdict(calibration), **quality, "data": path.name, "seed": seed, "versions": versions()}
