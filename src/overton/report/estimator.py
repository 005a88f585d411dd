"""The estimator's part: its figures and its table, from ``calibration.json`` and ``benchmark.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overton.notes import threshold_interval
from overton.report import figures
from overton.report.files import Row, RunFiles, mapping, number
from overton.report.metrics import Metric, difference_text
from overton.report.tables import Cell, cell

_SYSTEMS = ("base", "tuned")
_NAMES = {"base": "Untuned base", "tuned": "Tuned"}
_RATED = (
    ("average_precision", "Average precision"),
    ("roc_auc", "Area under the ROC curve"),
    ("f1", "F1 at the threshold"),
    ("accuracy", "Accuracy at the threshold"),
)
_PLAIN = (
    ("threshold", "Threshold (chosen on dev)", 3),
    ("calibration_error", "Calibration error", 3),
    ("brier", "Brier score", 3),
    ("sentences_per_second", "Sentences per second", 0),
)


@dataclass(frozen=True, slots=True)
class EstimatorPart:
    """What the page shows of the estimator.

    Attributes:
        threshold: cosine from which two texts are the same perspective, ``None`` when unknown.
        interval: its 95% interval as text.
        dev_pairs: number of pairs it was chosen on, as text.
        test: number of test pairs and situations, as a phrase.
        mix: to which mix of same and different pairs the figures are weighted, a sentence or ``""``.
        reliability: calibration plot, ``""`` when there are no bins.
        histograms: caption and figure for each model that has one.
        rows: metric, one cell a system, difference.
    """

    threshold: float | None
    interval: str
    dev_pairs: str
    test: str
    mix: str
    reliability: str
    histograms: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Cell, ...], Cell], ...]


def estimator_part(files: RunFiles) -> EstimatorPart | None:
    """Everything about the estimator; ``None`` when neither of its files holds a figure."""
    calibration, rows = files.calibration, estimator_rows(files)
    threshold, low, high = (number(calibration.get(k)) for k in ("threshold", "low", "high"))
    if threshold is None and not rows:
        return None
    interval = None if low is None or high is None else (low, high)
    dev, pairs, situations = (number(x) for x in (calibration.get("pairs"), *_counts(files.benchmark)))
    test = "" if pairs is None else f"{pairs:.0f} test pairs"
    if pairs is not None and situations is not None:
        test += f" of {situations:.0f} situations"
    return EstimatorPart(
        threshold=threshold,
        interval="" if interval is None else threshold_interval(*interval),
        dev_pairs="" if dev is None else f"{dev:.0f}",
        test=test,
        mix=mix_note(files.benchmark),
        reliability=figures.reliability(_list(files.benchmark.get("reliability")), _weight(files.benchmark)),
        histograms=tuple(_histograms(files.benchmark, interval)),
        rows=tuple(rows),
    )


def estimator_rows(files: RunFiles) -> list[tuple[str, tuple[Cell, ...], Cell]]:
    """Untuned base, tuned model and difference, one row a metric; metrics that neither has are left out."""
    systems = [mapping(mapping(files.benchmark.get("systems")).get(name)) for name in _SYSTEMS]
    differences = mapping(files.benchmark.get("differences"))
    rows = []
    for key, label in _RATED:
        m = Metric(key, label, "share", "up", "", "")
        cells = tuple(cell(m, mapping(s.get(key))) for s in systems)
        rows.append((label, cells, _difference(m, mapping(differences.get(key)))))
    rates = [mapping(s.get("false_positive_rate")) for s in systems]
    for relation in dict.fromkeys(r for rate in rates for r in rate):
        m = Metric(relation, "", "share", "", "", "")
        cells = tuple(cell(m, mapping(rate.get(relation))) for rate in rates)
        rows.append((f"Taken for the same: {relation} pairs", cells, Cell()))
    for key, label, digits in _PLAIN:
        values = [number(s.get(key)) for s in systems]
        rows.append((label, tuple(Cell() if v is None else Cell(f"{v:.{digits}f}") for v in values), Cell()))
    return [row for row in rows if any(c.text for c in row[1])]


def _histograms(benchmark: Row, interval: tuple[float, float] | None) -> list[tuple[str, str]]:
    systems = mapping(benchmark.get("systems"))
    found = {name: mapping(mapping(systems.get(name)).get("histogram")) for name in _SYSTEMS}
    found = {name: h for name, h in found.items() if h}
    drawn = []
    for name, h in found.items():
        svg = figures.cosine_histogram(
            name,
            _list(h.get("edges")),
            _list(h.get("positive")),
            _list(h.get("negative")),
            number(mapping(systems.get(name)).get("threshold")),
            interval if name == "tuned" else None,
            _range(list(found.values())),
        )
        if svg:
            drawn.append((_NAMES[name], svg))
    return drawn


def _range(histograms: Sequence[Row]) -> tuple[float, float]:
    """The smallest range of edges that holds every pair of every model, so that the figures compare."""
    low, high = 1.0, -1.0
    for h in histograms:
        edges = _list(h.get("edges"))
        counts = zip(_list(h.get("positive")), _list(h.get("negative")), strict=False)
        filled = [i for i, (a, b) in enumerate(counts) if a or b]
        if filled and max(filled) + 1 < len(edges):
            low, high = min(low, edges[min(filled)]), max(high, edges[max(filled) + 1])
    return (low, high) if low < high else (-1.0, 1.0)


def _counts(benchmark: Row) -> tuple[Any, Any]:
    return benchmark.get("pairs"), benchmark.get("situations")


def mix_note(benchmark: Row) -> str:
    """To which mix of pairs the benchmark is weighted, a sentence; ``""`` where pairs count as they are."""
    ratio = number(benchmark.get("different_per_same"))
    if not ratio:
        return ""
    return (
        f"Probabilities and figures are weighted to {ratio:g} different pairs for each same pair, so a model that "
        f"tells nothing apart has an average precision of {100 / (1 + ratio):.1f}%."
    )


def _weight(benchmark: Row) -> float:
    """What a different pair counts where a same pair counts 1: the rule of the pairs' own weights."""
    ratio, pairs, same = (number(benchmark.get(key)) for key in ("different_per_same", "pairs", "positives"))
    return ratio * same / (pairs - same) if ratio and same and pairs and pairs > same else 1.0


def _difference(m: Metric, score: Row) -> Cell:
    mean, low, high = (number(score.get(k)) for k in ("mean", "low", "high"))
    if mean is None:
        return Cell()
    interval = "" if low is None or high is None else f"{difference_text(m, low)} to {difference_text(m, high)}"
    return Cell(difference_text(m, mean), interval)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
