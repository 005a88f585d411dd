"""The tables of the report as plain data, for the page, the Markdown file and the terminal alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from overton.report.files import Row, RunFiles, mapping, number
from overton.report.metrics import (
    GROUPS,
    METRICS,
    Metric,
    difference_text,
    interval_text,
    metric,
    p_text,
    percent_change,
    value_text,
)
from overton.report.verdict import against_ranks, verdict

GREEDY = "-greedy"


@dataclass(frozen=True, slots=True)
class Cell:
    """One number with its interval; empty texts when it is missing."""

    text: str = ""
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.interval})" if self.interval else self.text


@dataclass(frozen=True, slots=True)
class Change:
    """The treated system against the baseline for one metric.

    Attributes:
        difference: signed, shares in percentage points.
        interval: of the difference, as text.
        relative: signed relative change, as text.
        p: p-value as text.
        verdict: of :func:`~overton.report.verdict.verdict`.
        raw: the difference as a number.
        count: ``n = 5`` when fewer situations are compared than a system's mean is over, else ``""``.
        opposed: a sentence when most situations go the other way than the mean, else ``""``.
    """

    difference: str = ""
    interval: str = ""
    relative: str = ""
    p: str = ""
    verdict: str = ""
    raw: float | None = None
    count: str = ""
    opposed: str = ""

    @property
    def small(self) -> str:
        """What stands in small figures under the difference."""
        return "; ".join(text for text in (self.interval, self.count) if text)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the headline table."""

    metric: Metric
    cells: tuple[Cell, ...]
    change: Change


@dataclass(frozen=True, slots=True)
class Headline:
    """Systems x metrics.

    Attributes:
        systems: in display order; baseline and treated system first.
        baseline: the system compared against, ``""`` when there is none.
        treated: the system compared, ``""`` when there is none.
        groups: heading and rows.
    """

    systems: tuple[str, ...]
    baseline: str
    treated: str
    groups: tuple[tuple[str, tuple[Line, ...]], ...]


def is_greedy(system: str) -> bool:
    """Whether the answers are the greedy ones of a system."""
    return system.endswith(GREEDY)


def main_pair(summary: Row, systems: Sequence[str]) -> tuple[str, str]:
    """Baseline and treated: ``sft`` and ``grpo`` if there, else the first comparison, else the first two.

    Returns:
        Two names; ``""`` for one that does not exist.
    """
    if "sft" in systems and "grpo" in systems:
        return "sft", "grpo"
    for row in comparisons(summary):
        if row.get("a") in systems and row.get("b") in systems:
            return str(row["b"]), str(row["a"])
    plain = [s for s in systems if not is_greedy(s)] or list(systems)
    return (plain[0] if plain else "", plain[1] if len(plain) > 1 else "")


def order_systems(systems: Sequence[str], pair: tuple[str, str]) -> tuple[str, ...]:
    """The pair first, then other sampled systems, then the greedy ones, each in the order given."""
    first = [s for s in pair if s]
    rest = [s for s in systems if s not in first]
    return (*first, *(s for s in rest if not is_greedy(s)), *(s for s in rest if is_greedy(s)))


def headline(summary: Row) -> Headline:
    """The headline table of ``evaluation/summary.json``. Metrics that no system has are left out."""
    scores = mapping(summary.get("systems"))
    pair = main_pair(summary, list(scores))
    systems = order_systems(list(scores), pair)
    names = {name for s in systems for name in mapping(scores[s])}
    known = [m for name, m in METRICS.items() if name in names]
    known += [metric(name) for name in sorted(names - set(METRICS))]
    lines: dict[str, list[Line]] = {}
    for m in known:
        cells = tuple(cell(m, mapping(mapping(scores[s]).get(m.name))) for s in systems)
        if any(c.text for c in cells):
            # The true number belongs to the data: a comparison of systems would always be zero.
            compared = Change() if m.name == "true_perspectives" else change(summary, m, *pair)
            lines.setdefault(m.group, []).append(Line(m, cells, compared))
    groups = tuple((g, tuple(lines[g])) for g in GROUPS if g in lines)
    return Headline(systems, pair[0], pair[1], groups)


def mean(summary: Row, system: str, name: str) -> float | None:
    """Mean of a metric, ``None`` when it is missing."""
    return number(mapping(mapping(mapping(summary.get("systems")).get(system)).get(name)).get("mean"))


def change(summary: Row, m: Metric, baseline: str, treated: str) -> Change:
    """The comparison of two systems for one metric, turned round when it was stored the other way.

    The p-value is the one corrected for all comparisons; summaries of earlier releases have only the plain one.
    """
    for row in comparisons(summary):
        if row.get("metric") != m.name or {row.get("a"), row.get("b")} != {baseline, treated}:
            continue
        sign = 1.0 if row.get("a") == treated else -1.0
        difference = number(row.get("difference"))
        if difference is None:
            return Change()
        difference *= sign
        low, high, p = number(row.get("low")), number(row.get("high")), number(row.get("p_holm", row.get("p_value")))
        interval = None if low is None or high is None else (min(sign * low, sign * high), max(sign * low, sign * high))
        relative = number(row.get("relative"))
        if sign < 0 or relative is None:
            base = mean(summary, baseline, m.name)
            relative = difference / base if base else None
        text = "" if interval is None else " to ".join(difference_text(m, x) for x in interval)
        return Change(
            difference=difference_text(m, difference),
            interval=text,
            relative="" if relative is None else percent_change(relative),
            p="" if p is None else p_text(p),
            verdict=verdict(m, interval, p),
            raw=difference,
            count=_count(summary, m, row),
            opposed=against_ranks(difference, sign * (number(row.get("cliffs_delta")) or 0.0)),
        )
    return Change()


def other_comparisons(summary: Row, table: Headline) -> list[tuple[str, str, Metric, Change]]:
    """Comparisons that the headline table does not show: treated, baseline, metric, change."""
    found = []
    for row in comparisons(summary):
        a, b, m = str(row.get("a")), str(row.get("b")), metric(str(row.get("metric")))
        # A greedy against a sampled system says more about sampling than about training.
        if {a, b} == {table.baseline, table.treated} or is_greedy(a) != is_greedy(b):
            continue
        result = change({**summary, "comparisons": [row]}, m, b, a)
        if result.difference:
            found.append((a, b, m, result))
    return found


CountTable = tuple[list[str], list[tuple[str, list[Cell], str]]]


def count_table(summary: Row, table: Headline) -> CountTable:
    """Coverage by number of references: systems, and (number, one cell a system, n). Greedy ones stay out.

    ``n`` says how many situations a mean is over; two numbers, ``15 / 14``, where it is not the same for all systems.
    """
    return _counted(METRICS["oracle_coverage"], mapping(summary.get("by_count")), table)


def other_count_tables(summary: Row, table: Headline) -> list[tuple[Metric, CountTable]]:
    """The same of every other metric that was counted so and is shown at all."""
    by_metric = mapping(summary.get("metrics_by_count"))
    found = [(m, _counted(m, mapping(by_metric[name]), table)) for name in by_metric if (m := METRICS.get(name))]
    return [(m, counted) for m, counted in found if counted[1]]


def _counted(m: Metric, by_count: Row, table: Headline) -> CountTable:
    there = [s for s in table.systems or by_count if mapping(by_count.get(s))]
    systems = [s for s in there if not is_greedy(s)] or there
    groups = count_groups(k for s in systems for k in by_count[s])
    rows = []
    for name in groups:
        scores = [mapping(by_count[s].get(name)) for s in systems]
        counts = dict.fromkeys(f"{n:.0f}" for score in scores if (n := number(score.get("n"))) is not None)
        rows.append((name, [cell(m, score) for score in scores], " / ".join(counts)))
    return systems, rows


def count_groups(names: Iterable[str]) -> dict[str, int]:
    """Groups of ``by_count`` in order, each with its place on an axis: that of ``>10`` is 11. Other names are left out.

    An exact number goes before the open group of the same place.
    """
    places = {name: int(name.removeprefix(">")) for name in names if name.removeprefix(">").isdecimal()}
    found = {name: place + name.startswith(">") for name, place in places.items()}
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0].startswith(">"))))


def time_table(files: RunFiles) -> list[tuple[str, float | None, float | None, str]]:
    """Stage, seconds, CPU seconds, status; stages without a manifest are left out."""
    return [
        (stage, number(m.get("seconds")), number(m.get("cpu_seconds")), str(m.get("status") or ""))
        for stage, m in files.manifests.items()
        if stage != "report"
    ]


def comparisons(summary: Row) -> list[Row]:
    """Rows of ``summary["comparisons"]``; what is no row is left out."""
    rows = summary.get("comparisons")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _count(summary: Row, m: Metric, row: Row) -> str:
    scores = mapping(summary.get("systems"))
    means = (number(mapping(mapping(scores.get(str(row.get(side)))).get(m.name)).get("n")) for side in ("a", "b"))
    n = number(row.get("n"))
    return f"n = {n:.0f}" if n is not None and any(own is not None and own > n for own in means) else ""


def cell(m: Metric, score: Row) -> Cell:
    """A mean with its interval, from a row with ``mean``, ``low`` and ``high``."""
    value, low, high = number(score.get("mean")), number(score.get("low")), number(score.get("high"))
    if value is None:
        return Cell()
    return Cell(value_text(m, value), "" if low is None or high is None else interval_text(m, low, high))
