"""From dev pairs to a threshold, a probability and a verdict on whether the model is usable at all."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import ModelError
from overton.estimator.calibration import Calibration
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.pairs import Pairs, bootstrap, interval
from overton.estimator.quality import calibration_error, health_check, held_out_probabilities
from overton.estimator.threshold import pick_threshold, platt
from overton.progress import say

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 1000


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
        The calibration, whose interval is of thresholds in resamples of whole situations (one in which no threshold has
        the target precision counts as 1, above any cosine), and how good it is: ``calibration_error`` and ``brier`` of
        probabilities that were fitted on the other half of the situations, ``random_cosine``, ``auc``; with several
        data sets ``sets``: name -> the same for its pairs alone, calibration's fields included. A data set whose pairs
        all have one label is left out of ``sets``, and named on the console.

    Raises:
        ModelError: the health check fails, or no threshold has the target precision.
    """
    import numpy as np

    cosines = estimator.cosines(pairs.left, pairs.right, pairs.situations, "Calibrating the estimator")
    cosines = cosines.astype(np.float64)
    health = health_check(estimator, pairs, cosines, seed)
    hashes = (model_hash, data_hash)
    settings = (different_per_same, target_precision, seed)
    calibration, quality = _measure(cosines, pairs, hashes, *settings)
    measurable = {name: here for name, here in pairs.of_sets().items() if name}
    if one_label := sorted(set(pairs.sets) - set(measurable) - {""}):
        say(
            f"No threshold of its own for {', '.join(one_label)}: dev pairs of one label only. The threshold of all "
            "pairs together serves there; clusters in the data would give it one."
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
    if target_precision:  # out of reach in a resample: above any cosine, not left out
        draws = np.where(np.isnan(draws), 1.0, draws)
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
