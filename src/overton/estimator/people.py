"""``overton estimator benchmark``: how well models agree with people, with intervals over topics and claims."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data.argkp import KeyPointGroup, key_point_groups
from overton.errors import DataError
from overton.estimator.calibration import UNCALIBRATED_THRESHOLD
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.logged import LoggedAnswer, agreement
from overton.estimator.pairs import Pairs, bootstrap, interval, ranking_metrics
from overton.estimator.quality import calibration_error, held_out_probabilities, split_groups
from overton.estimator.suite import ClaimPairs, argkp_scores, claim_pairs, labelled_key_points, matching_precision
from overton.estimator.threshold import best_f1

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 500
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Labels:
    """What people said, read once for all models.

    Attributes:
        groups: arguments and key points of Key Point Analysis, empty without its folder.
        key_points: its labelled pairs.
        claims: pairs of PERSPECTRUM, ``None`` without its folder.
        logged: answers of published systems with what their authors' estimator found, empty without them.
    """

    groups: list[KeyPointGroup]
    key_points: Pairs | None
    claims: ClaimPairs | None
    logged: list[LoggedAnswer] = field(default_factory=list)


def read_labels(
    argkp: Path | None, perspectrum: Path | None, split: str = "dev", logged: Sequence[LoggedAnswer] = ()
) -> Labels:
    """Read the labels of one split.

    Args:
        argkp: folder of Key Point Analysis 2021.
        perspectrum: folder of PERSPECTRUM.
        split: ``train``, ``dev`` or ``test``.
        logged: from :func:`overton.estimator.logged.read_logged`.

    Raises:
        DataError: there is nothing to measure with, or a folder is unusable.
    """
    if argkp is None and perspectrum is None and not logged:
        raise DataError("the benchmark needs labels of people: give --argkp FOLDER, --perspectrum FOLDER or both")
    groups = key_point_groups(argkp, split) if argkp else []
    return Labels(
        groups,
        labelled_key_points(groups, f"{argkp} ({split})") if groups else None,
        claim_pairs(perspectrum, split) if perspectrum else None,
        list(logged),
    )


def measure(estimator: SimilarityEstimator, labels: Labels, *, seed: int = 0) -> Figures:
    """All figures of one model.

    Args:
        estimator: tuned or not; its preprocessing applies.
        labels: from :func:`read_labels`.
        seed: of bootstrap and halves.

    Returns:
        ``{"argkp": {"strict", "relaxed", "calibration"}, "perspectrum": {SUBSET: {"average_precision", "roc_auc",
        "f1"}, "calibration"}, "logged": see :func:`overton.estimator.logged.agreement`, "sentences_per_second"}``; the
        last is of labels alone, ``None`` without them. A figure is ``{"mean", "low", "high"}`` with its 95% bootstrap
        interval over topics or claims. Thresholds and probabilities of one half of them are fitted on the other half.
    """
    estimator.clear_cache()
    found: Figures = {"sentences_per_second": _speed(estimator, labels)}
    if labels.groups and labels.key_points:
        found["argkp"] = _argkp(estimator, labels.groups, labels.key_points, seed)
    if labels.claims:
        found["perspectrum"] = _perspectrum(estimator, labels.claims, seed)
    if labels.logged:
        threshold = estimator.threshold if estimator.calibration else UNCALIBRATED_THRESHOLD
        found["logged"] = {"threshold": threshold, **agreement(estimator, labels.logged, threshold)}
    return found


def _speed(estimator: SimilarityEstimator, labels: Labels) -> float | None:
    """Distinct texts encoded a second; the vectors stay in the cache for the figures."""
    rows = [(text, g.topic) for g in labels.groups for text in (*g.arguments, *g.key_points)]
    if labels.claims:
        pairs = labels.claims.pairs
        rows += zip([*pairs.left, *pairs.right], [*pairs.situations] * 2, strict=True)
    if not rows:
        return None
    start, known = time.perf_counter(), estimator.encoded
    estimator.encode([text for text, _ in rows], [context for _, context in rows], "Encoding")
    return (estimator.encoded - known) / (time.perf_counter() - start)


def _argkp(estimator: SimilarityEstimator, groups: list[KeyPointGroup], pairs: Pairs, seed: int) -> Figures:
    import numpy as np

    scores = argkp_scores(estimator, groups)
    found: Figures = {}
    for name, relaxed in (("strict", False), ("relaxed", True)):
        each = np.array([matching_precision(g, s, relaxed) for g, s in zip(groups, scores, strict=True)])
        found[name] = over_topics(each, [g.topic for g in groups], seed) | {"groups": each.round(4).tolist()}
    cosines = estimator.cosines(pairs.left, pairs.right, pairs.situations).astype(np.float64)
    return found | {"calibration": _calibration(cosines, pairs, seed)}


def over_topics(values: np.ndarray, topics: Sequence[str], seed: int) -> Figures:
    """Mean with its 95% bootstrap interval over topics: both sides of one are drawn together, since they share it.

    Args:
        values: (n,) one a side of a topic.
        topics: the topic of each.
        seed: of the draws.

    Returns:
        ``mean``, ``low`` and ``high``.
    """
    import numpy as np

    index = np.unique(topics, return_inverse=True)[1]
    draws = bootstrap(lambda drawn: np.array([np.average(values, weights=drawn)]), index, RESAMPLES, seed)
    low, high = interval(draws[:, 0])
    return {"mean": float(values.mean()), "low": low, "high": high}


def _perspectrum(estimator: SimilarityEstimator, claims: ClaimPairs, seed: int) -> Figures:
    import numpy as np

    pairs = claims.pairs
    cosines = estimator.cosines(pairs.left, pairs.right, pairs.situations, "PERSPECTRUM").astype(np.float64)
    called = _called(cosines, pairs, seed)
    found: Figures = {}
    for name, mask in claims.subsets.items():
        found[name] = _ranking(cosines[mask], called[mask], pairs.labels[mask], pairs.groups[mask], seed)
    return found | {"calibration": _calibration(cosines, pairs, seed)}


def _called(cosines: np.ndarray, pairs: Pairs, seed: int) -> np.ndarray:
    """(n,) bool: at or above the best threshold of the other half of the claims."""
    import numpy as np

    side = split_groups(pairs, seed)
    called = np.zeros(len(cosines), dtype=bool)
    for here in (side, ~side):
        called[here] = cosines[here] >= best_f1(cosines[~here], pairs.labels[~here])[0]
    return called


def _ranking(cosines: np.ndarray, called: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int) -> Figures:
    import numpy as np

    def statistics(drawn: np.ndarray) -> np.ndarray:
        weights = drawn.astype(np.float64)
        if not (weights[labels].sum() and weights[~labels].sum()):
            return np.full(3, np.nan)
        f1 = 2 * weights[called & labels].sum() / (weights[called].sum() + weights[labels].sum())
        return np.array([*ranking_metrics(labels, cosines, weights), f1])

    found: Figures = {"pairs": len(labels), "positives": int(labels.sum())}
    if labels.all() or not labels.any():
        return found | dict.fromkeys(("average_precision", "roc_auc", "f1"))
    point = statistics(np.ones(len(labels)))
    draws = bootstrap(statistics, np.unique(groups, return_inverse=True)[1], RESAMPLES, seed)
    for i, name in enumerate(("average_precision", "roc_auc", "f1")):
        low, high = interval(draws[:, i])
        found[name] = {"mean": float(point[i]), "low": low, "high": high}
    return found


def _calibration(cosines: np.ndarray, pairs: Pairs, seed: int) -> Figures:
    import numpy as np

    probabilities = held_out_probabilities(cosines, pairs, np.ones(len(cosines)), seed)
    judged = np.isfinite(probabilities)
    if not judged.any():
        return {"error": None, "brier": None}
    labels = pairs.labels[judged]
    return {
        "error": calibration_error(probabilities[judged], labels),
        "brier": float(((probabilities[judged] - labels) ** 2).mean()),
    }


def rows_of(systems: Mapping[str, Figures]) -> list[dict[str, Any]]:
    """One flat row a model, for a table: name -> figure or ``None``."""
    rows = []
    for name, found in systems.items():
        argkp, claims = found.get("argkp", {}), found.get("perspectrum", {})
        row: dict[str, Any] = {"model": name}
        row |= {f"KPA {kind}": argkp.get(kind) for kind in ("strict", "relaxed")}
        for subset, title in (("all", "all"), ("same_stance", "same stance"), ("no_paraphrases", "no paraphrases")):
            row[f"PERSPECTRUM AP, {title}"] = claims.get(subset, {}).get("average_precision")
        row["PERSPECTRUM F1"] = claims.get("all", {}).get("f1")
        row["KPA calibration error"] = argkp.get("calibration", {}).get("error")
        row["PERSPECTRUM calibration error"] = claims.get("calibration", {}).get("error")
        row["log: ranking of systems (Kendall)"] = found.get("logged", {}).get("ranking")
        row["log: coverage of answers (Spearman)"] = found.get("logged", {}).get("answers")
        row["sentences/s"] = found["sentences_per_second"]
        rows.append(row)
    return rows
