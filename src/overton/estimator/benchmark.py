"""Measure the tuned model against its untuned base on test pairs that nothing was chosen on.

``benchmark.json``::

    {"pairs": n, "positives": n, "situations": n, "different_per_same": r,   pairs are weighted to that mix
     "target_precision": p,          each threshold is the lowest with this precision on dev; 0: that of the best F1
     "systems": {"tuned": SYSTEM, "base": SYSTEM},
     "differences": {METRIC: {"mean", "low", "high"}},      tuned minus base, 95% bootstrap over situations
     "reliability": [{"low", "high", "count", "weight", "probability", "positive"}],        tuned, on test
     "training": {...}}
    SYSTEM = {METRIC: {"mean", "low", "high"}, "threshold": t (null: none has the precision, so nothing is called the
              same), "sentences_per_second": s,
              "false_positive_rate": {RELATION: {"mean", "pairs"}}, "calibration_error": e, "brier": b,
              "histogram": {"edges": [...], "positive": [...], "negative": [...]},
              "precision_recall": {"recall": [...], "precision": [...], "threshold": [...]}}
    METRIC = average_precision | roc_auc | f1 | accuracy
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from overton.estimator.encode import SimilarityEstimator
from overton.estimator.pairs import Pairs, bootstrap, interval, ranking_metrics
from overton.estimator.quality import calibration_error, reliability
from overton.estimator.threshold import pick_threshold, platt

if TYPE_CHECKING:
    import numpy as np

METRICS = ("average_precision", "roc_auc", "f1", "accuracy")
RESAMPLES = 500
_CURVE_POINTS = 100
_HISTOGRAM_BINS = 40


def benchmark(
    tuned: SimilarityEstimator,
    base: SimilarityEstimator,
    dev: Pairs,
    test: Pairs,
    *,
    different_per_same: float = 1.0,
    target_precision: float = 0.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two models; each uses a threshold and probabilities from the dev pairs.

    Args:
        tuned: a calibrated model.
        base: the untuned base with the same preprocessing; its threshold is chosen here, on ``dev``.
        dev: pairs for the base's threshold.
        test: pairs to report on.
        different_per_same: as in :func:`overton.estimator.calibrate.calibrate`.
        target_precision: what the tuned model's threshold was chosen by, and the base's is; as there.
        seed: of the bootstrap.

    Returns:
        See the module's description.
    """
    import numpy as np

    if tuned.calibration is None:
        raise ValueError("the tuned model must be calibrated first")
    scores, speeds, scales, thresholds = {}, {}, {}, {}
    for name, model in (("tuned", tuned), ("base", base)):
        model.clear_cache()
        start, known = time.perf_counter(), model.encoded
        cosines = model.cosines(test.left, test.right, test.situations, f"Benchmark ({name})")
        speeds[name] = (model.encoded - known) / (time.perf_counter() - start)
        scores[name] = cosines.astype(np.float64)
    thresholds["tuned"] = tuned.threshold
    scales["tuned"] = (tuned.calibration.slope, tuned.calibration.intercept)
    on_dev = base.cosines(dev.left, dev.right, dev.situations).astype(np.float64)
    picked = pick_threshold(on_dev, dev.labels, target_precision, dev.weights(different_per_same))
    # An untuned base may reach the precision nowhere: then it calls nothing the same.
    thresholds["base"] = np.inf if np.isnan(picked) else picked
    scales["base"] = platt(on_dev, dev.labels, dev.weights(different_per_same))
    weights = test.weights(different_per_same)

    def all_metrics(drawn: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [metrics(scores[n], test.labels, thresholds[n], drawn * weights) for n in ("tuned", "base")]
        )

    point = all_metrics(np.ones(len(test.labels)))
    draws = bootstrap(all_metrics, test.groups, RESAMPLES, seed)
    k = len(METRICS)
    systems = {}
    for offset, name in ((0, "tuned"), (k, "base")):
        probabilities = _probability(scales[name], scores[name])
        systems[name] = {
            **{m: _figure(point[offset + i], draws[:, offset + i]) for i, m in enumerate(METRICS)},
            "threshold": thresholds[name] if np.isfinite(thresholds[name]) else None,
            "sentences_per_second": speeds[name],
            "false_positive_rate": false_positive_rates(scores[name], test, thresholds[name]),
            "calibration_error": calibration_error(probabilities, test.labels, weights),
            "brier": float(np.average((probabilities - test.labels) ** 2, weights=weights)),
            "histogram": _histogram(scores[name], test.labels),
            "precision_recall": _curve(scores[name], test.labels, weights),
        }
    return {
        "pairs": len(test.labels),
        "positives": int(test.labels.sum()),
        "situations": int(test.groups.max()) + 1,
        "different_per_same": different_per_same,
        "target_precision": target_precision,
        "systems": systems,
        "differences": {
            m: _figure(point[i] - point[k + i], draws[:, i] - draws[:, k + i]) for i, m in enumerate(METRICS)
        },
        "reliability": reliability(_probability(scales["tuned"], scores["tuned"]), test.labels, weights),
    }


def metrics(cosines: np.ndarray, labels: np.ndarray, threshold: float, weights: np.ndarray) -> np.ndarray:
    """:data:`METRICS` of cosines (n,), bool labels (n,), weights (n,); NaN where a class has no weight."""
    import numpy as np

    total, positive = weights.sum(), weights[labels].sum()
    if positive in (0, total):
        return np.full(len(METRICS), np.nan)
    called = cosines >= threshold
    hits, calls = weights[called & labels].sum(), weights[called].sum()
    right = hits + weights[~called & ~labels].sum()
    return np.array(
        [
            *ranking_metrics(labels, cosines, weights),
            2 * hits / (calls + positive),
            right / total,
        ]
    )


def false_positive_rates(cosines: np.ndarray, pairs: Pairs, threshold: float) -> dict[str, dict[str, float]]:
    """Share of different pairs called the same, by how the two relate (``near``, ``opposite``, ``other``)."""
    import numpy as np

    relations = np.array(pairs.relations)
    rates = {}
    for relation in sorted(set(relations[~pairs.labels])):
        chosen = ~pairs.labels & (relations == relation)
        rates[str(relation)] = {
            "mean": float((cosines[chosen] >= threshold).mean()),
            "pairs": int(chosen.sum()),
        }
    return rates


def _figure(mean: float, draws: np.ndarray) -> dict[str, float]:
    low, high = interval(draws)
    return {"mean": float(mean), "low": low, "high": high}


def _probability(scale: tuple[float, float], cosines: np.ndarray) -> np.ndarray:
    import numpy as np

    return 0.5 * (1.0 + np.tanh(0.5 * (scale[0] * cosines + scale[1])))


def _histogram(cosines: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    import numpy as np

    edges = np.linspace(-1, 1, _HISTOGRAM_BINS + 1)
    clipped = np.clip(cosines, -1, 1)
    return {
        "edges": [round(float(e), 4) for e in edges],
        "positive": [int(c) for c in np.histogram(clipped[labels], edges)[0]],
        "negative": [int(c) for c in np.histogram(clipped[~labels], edges)[0]],
    }


def _curve(cosines: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> dict[str, list[float]]:
    """Precision and recall at about 100 thresholds, evenly spread over the ranking."""
    import numpy as np
    from sklearn.metrics import precision_recall_curve

    precision, recall, threshold = precision_recall_curve(labels, cosines, sample_weight=weights)
    chosen = np.unique(np.linspace(0, len(threshold) - 1, _CURVE_POINTS).round().astype(int))
    return {
        "recall": [round(float(r), 5) for r in recall[chosen]],
        "precision": [round(float(p), 5) for p in precision[chosen]],
        "threshold": [round(float(t), 5) for t in threshold[chosen]],
    }
