"""From rows to figures: ``evaluation/summary.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from overton.evaluation import form, nli, oracle, published
from overton.evaluation.diversity import MAX_K
from overton.evaluation.judge.score import METRICS as JUDGED
from overton.evaluation.statistics import compare_systems, interval, intervals, seed_of
from overton.notes import fewer_note
from overton.types import Situation

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]  # evaluator (oracle, nli, form, judge) -> rows

# metric -> (evaluator, column)
COLUMNS: dict[str, tuple[str, str]] = {
    **{name: ("oracle", name.removeprefix("oracle_")) for name in oracle.METRICS},
    **{name: ("nli", name) for name in nli.METRICS},
    **{name: ("published", name) for name in published.METRICS},
    **{name: ("form", name) for name in form.METRICS},
    **{name: ("judge", name) for name in JUDGED},
}
# Known only where the answers say so; a metric that no answer of a system has is left out, not counted as unscored.
_OPTIONAL = ("seconds", "calls", "cost")
# Why there is no value where a row gives no reason; of anything else it is not known.
_WITHOUT = {
    "distinct_1": "the answer holds no word",
    "distinct_2": "no sentence holds two words",
    "self_bleu": "fewer than two sentences with a word",
    "ngram_vendi": "no sentence with a word, or more than 1,000",
}
_MOST = 10  # references; situations with more are one group
# What is told by number of references too; coverage has a table of its own.
_BY_COUNT = (*oracle.METRICS, *nli.METRICS[:3], "nli_mean", "nli_accuracy", *JUDGED)
_FIRST = ("sft", "sft-greedy")
_LAST = ("grpo", "grpo-greedy")


def summarise(
    systems: Mapping[str, Rows],
    situations: Mapping[str, Situation],
    *,
    nli_threshold: float,
    resamples: int = 2000,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Means with intervals, paired comparisons, and tables by value and by number of perspectives.

    Args:
        systems: rows by system and evaluator; an evaluator that did not run is absent.
        situations: by id.
        nli_threshold: the t of Accuracy@t.
        resamples: bootstrap resamples.
        seed: of the resampling.
        settings: what else decided the figures, stored as it is.

    Returns:
        The content of ``summary.json``: ``systems``, ``comparisons`` (of every two systems), ``per_value``,
        ``by_count`` (coverage, by system), ``metrics_by_count`` (other metrics, by metric and system),
        ``coverage_at_k``, ``unscored`` (system -> metric -> reason -> answers), ``notes`` (a line where the systems
        answered different questions), ``nli_threshold``, ``settings``.
    """
    names = order_systems(systems)
    values = {name: _values(systems[name]) for name in names}
    judge = "oracle" if names and all("oracle" in systems[n] for n in names) else "nli"
    coverage = "oracle_coverage" if judge == "oracle" else "coverage"

    def counted(metric: str) -> dict[str, dict[str, Any]]:
        known = {name: own for name in names if (own := values[name].get(metric))}
        return {n: by_count(own, values[n].get("true_perspectives", {}), resamples, seed) for n, own in known.items()}

    covered = counted(coverage)
    asked = {name: {str(row["id"]) for rows in systems[name].values() for row in rows} for name in names}
    return {
        "systems": {name: _intervals(values[name], resamples, seed_of(seed, name)) for name in names},
        "comparisons": compare_systems(
            {n: {m: v for m, v in values[n].items() if m != "true_perspectives"} for n in names}, resamples, seed
        ),
        "per_value": {name: per_value(systems[name].get(judge, ()), situations) for name in names},
        "by_count": {name: covered.get(name, {}) for name in names},
        "metrics_by_count": {metric: found for metric in _BY_COUNT if metric != coverage if (found := counted(metric))},
        "coverage_at_k": {
            name: found for name in names if (found := coverage_at_k(systems[name].get(judge, ()), resamples, seed))
        },
        "unscored": {name: found for name in names if (found := unscored(systems[name]))},
        "notes": [f"{line}, comparisons of two systems over those that both answered" for line in fewer_note(asked)],
        "nli_threshold": nli_threshold,
        "settings": {
            "coverage_by": judge,
            "bootstrap": resamples,
            "confidence": 0.95,
            "seed": seed,
            **(settings or {}),
        },
    }


def order_systems(names: Iterable[str]) -> list[str]:
    """The start first, OP-GRPO last. A comparison is of a later system against an earlier one."""

    def rank(name: str) -> tuple[int, str]:
        return (0 if name in _FIRST else 2 if name in _LAST else 1, name)

    return sorted(names, key=rank)


def per_value(rows: Iterable[Row], situations: Mapping[str, Situation]) -> dict[str, dict[str, int]]:
    """How often each value's perspective was wanted and how often an answer stated it."""
    covered: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows:
        missed = row.get("missed")
        if missed is None:
            continue
        labels = {p.cluster: p.label for p in reversed(situations[row["id"]].perspectives) if p.cluster and p.label}
        for cluster, label in labels.items():
            total[label] += 1
            covered[label] += cluster not in missed
    return {label: {"covered": covered[label], "total": total[label]} for label in sorted(total)}


def by_count(
    metric: Mapping[str, float | None], counts: Mapping[str, float | None], resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """A metric by the number of true perspectives; above ten they are one group, ``>10``."""
    groups: dict[int, list[float | None]] = {}
    for key, value in metric.items():
        if (count := counts.get(key)) is not None:
            groups.setdefault(min(int(count), _MOST + 1), []).append(value)
    return {
        str(n) if n <= _MOST else f">{_MOST}": interval(groups[n], resamples, seed_of(seed, n)) for n in sorted(groups)
    }


def coverage_at_k(rows: Iterable[Row], resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Coverage over the first k perspectives of an answer, k = 1 ... 10; ``{}`` when the rows do not know it."""
    curves = [curve for row in rows if (curve := row.get("coverage_curve"))]
    if not curves:
        return {}
    return intervals({str(k): [c[k - 1] for c in curves] for k in range(1, MAX_K + 1)}, resamples, seed_of(seed, "k"))


def unscored(rows: Rows) -> dict[str, dict[str, int]]:
    """Metric -> reason -> number of answers without a value."""
    found: dict[str, dict[str, int]] = {}
    for metric, (evaluator, column) in COLUMNS.items():
        without = _WITHOUT.get(metric, "not known")
        reasons = Counter(
            str(row.get("reason") or without) for row in rows.get(evaluator, ()) if row.get(column) is None
        )
        absent = metric in _OPTIONAL and reasons.total() == len(rows.get(evaluator, ()))
        if reasons and not absent:
            found[metric] = dict(sorted(reasons.items()))
    return found


def _values(rows: Rows) -> dict[str, dict[str, float | None]]:
    found = {
        metric: {str(row["id"]): row.get(column) for row in rows[evaluator]}
        for metric, (evaluator, column) in COLUMNS.items()
        if evaluator in rows
    }
    return {m: v for m, v in found.items() if m not in _OPTIONAL or any(x is not None for x in v.values())}


def _intervals(values: Mapping[str, Mapping[str, float | None]], resamples: int, seed: int) -> dict[str, Any]:
    """Intervals of one system's metrics; an evaluator may have judged fewer answers than another."""
    by_length: dict[int, dict[str, list[float | None]]] = {}
    for metric, column in values.items():
        by_length.setdefault(len(column), {})[metric] = list(column.values())
    found: dict[str, Any] = {}
    for columns in by_length.values():
        found |= intervals(columns, resamples, seed)
    return {metric: found[metric] for metric in values}
