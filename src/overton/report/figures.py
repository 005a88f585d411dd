"""The figures. Each function takes plain numbers or a summary and returns one SVG element with alt text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from overton.report.axes import (
    colour_of,
    legend_above,
    moving_average,
    percent_axis,
    score_of,
    share_interval,
    short_name,
)
from overton.report.files import Row, mapping, number
from overton.report.metrics import METRICS, Metric, value_text
from overton.report.svg import COLOURS, MARKERS, Theme, draw
from overton.report.tables import GREEDY, count_groups, main_pair

Points = Sequence[tuple[float, float]]
_WIDE = (360.0, 235.0)
_PANEL = (300.0, 175.0)


def headline_figure(summary: Row, theme: Theme = "page") -> str:
    """Coverage, uniqueness and precision of the baseline and the treated system, with 95% intervals.

    Args:
        summary: ``evaluation/summary.json``. The oracle's metrics are drawn if there, else the others.
        theme: ``light`` or ``dark`` gives a file of its own, for example for a README::

            svg = headline_figure(read_json(run / "evaluation/summary.json"), theme="light")

    Returns:
        SVG, or ``""`` when no system has any of the metrics.
    """
    scores = mapping(summary.get("systems"))
    systems = [s for s in main_pair(summary, list(scores)) if s]
    sets = (
        ("oracle_coverage", "oracle_uniqueness", "oracle_precision"),
        ("coverage", "uniqueness", "precision"),
    )
    rows: list[tuple[Metric, list[tuple[str, float, float, float]]]] = []
    for names in sets:
        for name in names:
            found = [(s, *score) for s in systems if (score := score_of(mapping(scores[s]).get(name)))]
            if found:
                rows.append((METRICS[name], found))
        if rows:
            break
    if not rows:
        return ""
    said = [
        f"{m.label}: "
        + ", ".join(f"{s} {value_text(m, v)} ({100 * lo:.1f} to {100 * hi:.1f})" for s, v, lo, hi in found)
        for m, found in rows
    ]

    def paint(axes: Any) -> None:
        step = 0.36
        for row, (_, found) in enumerate(rows):
            for s, value, low, high in found:
                index = systems.index(s)
                y = row + (index - (len(systems) - 1) / 2) * step
                colour = COLOURS[f"c{index}"]
                axes.barh(y, value, height=step * 0.84, color=colour, alpha=0.85 if index else 0.6, linewidth=0)
                axes.plot([low, high], [y, y], color=COLOURS["ink"], linewidth=1.3)
                axes.annotate(
                    f"{100 * value:.0f}%",
                    (max(high, value), y),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                )
        axes.set_yticks(range(len(rows)), [m.label for m, _ in rows])
        axes.tick_params(axis="y", labelsize=10, labelcolor=COLOURS["ink"])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(False, axis="y")
        percent_axis(axes, "x")
        for index, s in enumerate(systems):
            axes.barh(math.nan, math.nan, color=COLOURS[f"c{index}"], alpha=0.85 if index else 0.6, label=short_name(s))
        legend_above(axes, len(systems))

    return draw("headline", (360.0, 200.0), "Bar chart with 95% intervals. " + "; ".join(said) + ".", paint, theme)


def curve(name: str, title: str, points: Points, share: bool = False, target: float | None = None) -> str:
    """One learning curve: the logged values faint, their moving average strong.

    Args:
        name: salt of the ids.
        title: what is drawn.
        points: (step, value), in order, at least one.
        share: the value is a share; the axis then runs from 0 to 100%.
        target: drawn as a dashed line, for example the true number of perspectives.
    """
    x, y = [p[0] for p in points], [p[1] for p in points]
    smooth = moving_average(y, max(1, len(y) // 16))
    alt = f"{title} against training step: {_short(smooth[0])} at step {x[0]:g}, "
    alt += f"{_short(smooth[-1])} at step {x[-1]:g}"
    alt += f", between {_short(min(y))} and {_short(max(y))}." + (f" Dashed line: {_short(target)}." if target else "")

    def paint(axes: Any) -> None:
        colour = COLOURS["c1"]
        marker = "o" if len(x) == 1 else None
        axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.35, marker=marker)
        axes.plot(x, smooth, color=colour, linewidth=1.9)
        if target is not None:
            axes.axhline(target, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        # At the figure's edge, so that the titles of a row of panels line up whatever their tick labels are.
        axes.figure.suptitle(title, x=0.008, ha="left", fontsize=9.5, color=COLOURS["ink"])
        axes.locator_params(axis="both", nbins=5)
        if share and max(y) <= 1.001 and min(y) >= -0.001:
            percent_axis(axes, "y")
        elif target is not None:
            axes.set_ylim(0, 1.15 * max(*y, target))
        axes.grid(False, axis="x")

    return draw(f"curve-{name}", _PANEL, alt, paint)


def coverage_by_count(by_count: Row, systems: Sequence[str]) -> str:
    """Coverage against the number of reference perspectives, with intervals.

    Args:
        by_count: ``summary["by_count"]``: system -> number of perspectives -> mean, low, high, n.
        systems: which to draw, in colour order; a greedy one is drawn hollow in its system's colour.

    Returns:
        SVG, or ``""`` when there is nothing to draw.
    """
    lines: list[tuple[str, list[tuple[int, float, float, float]]]] = []
    ticks: dict[int, str] = {}  # place -> group
    for s in systems:
        cells = mapping(by_count.get(s))
        scores = [(name, place, score_of(cells[name])) for name, place in count_groups(cells).items()]
        points = [(place, *score) for _, place, score in scores if score]
        ticks |= {place: name for name, place, score in scores if score}
        if points:
            lines.append((s, points))
    if not lines:
        return ""
    said = [f"{s}: " + ", ".join(f"{ticks[k]} {100 * m:.0f}%" for k, m, _, _ in points) for s, points in lines]

    def paint(axes: Any) -> None:
        for index, (s, points) in enumerate(lines):
            colour = COLOURS[colour_of(s, systems)]
            # Side by side, so that one system's interval does not hide the other's.
            x = [k + (index - (len(lines) - 1) / 2) * 0.12 for k, *_ in points]
            errors = [[m - lo for _, m, lo, _ in points], [hi - m for _, m, _, hi in points]]
            axes.errorbar(
                x, [m for _, m, _, _ in points], yerr=errors, color=colour, linewidth=1.6, elinewidth=1.1,
                marker=MARKERS[index % len(MARKERS)], markersize=5, label=short_name(s),
                markerfacecolor="none" if s.endswith(GREEDY) else colour,
                linestyle="--" if s.endswith(GREEDY) else "-",
            )  # fmt: skip
        axes.set_xticks(sorted(ticks), [ticks[k] for k in sorted(ticks)])
        axes.set_xlabel("reference perspectives of the situation")
        axes.grid(False, axis="x")
        percent_axis(axes, "y")
        legend_above(axes, len(lines))

    alt = "Coverage against the number of reference perspectives. " + "; ".join(said) + "."
    return draw("by-count", _WIDE, alt, paint)


def reliability(bins: Sequence[Row], weight: float = 1.0) -> str:
    """Calibration plot: predicted probability against the observed share, one point a bin.

    Args:
        bins: rows with ``probability`` (mean predicted), ``positive`` (observed share) and ``count``;
            the bars are Wilson's 95% interval of the share.
        weight: what a different pair counted in these means, where a same pair counted 1.

    Returns:
        SVG, or ``""`` when there are no bins.
    """
    points = [
        (p, o, n)
        for b in bins
        if (p := number(b.get("probability"))) is not None
        and (o := number(b.get("positive"))) is not None
        and (n := number(b.get("count")))
    ]
    if not points:
        return ""
    points.sort()
    masses = [weight * n / (1 - o + o * weight) for _, o, n in points]  # n pairs, those that differ times the weight
    gap = sum(mass * abs(p - o) for mass, (p, o, _) in zip(masses, points, strict=True)) / sum(masses)
    said = ", ".join(f"{100 * p:.0f}%: {100 * o:.0f}%" for p, o, _ in points)

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        intervals = [share_interval(o, n, weight) for _, o, n in points]
        pairs = list(zip(points, intervals, strict=True))
        errors = [[max(0.0, o - low) for (_, o, _), (low, _) in pairs]]
        errors.append([max(0.0, high - o) for (_, o, _), (_, high) in pairs])
        axes.errorbar(
            [p for p, *_ in points], [o for _, o, _ in points], yerr=errors, color=COLOURS["c1"], marker="o",
            markersize=5, linewidth=1.6, elinewidth=1.1,
        )  # fmt: skip
        axes.set_xlabel("predicted probability: same perspective")
        axes.set_ylabel("observed share")
        percent_axis(axes, "x")
        percent_axis(axes, "y")

    alt = f"Calibration plot, predicted against observed share of same pairs: {said}. "
    alt += f"Mean gap {100 * gap:.1f} points."
    return draw("reliability", _WIDE, alt, paint)


def cosine_histogram(
    name: str,
    edges: Sequence[float],
    same: Sequence[float],
    different: Sequence[float],
    threshold: float | None,
    interval: tuple[float, float] | None = None,
    limits: tuple[float, float] = (-1.0, 1.0),
) -> str:
    """Cosines of pairs that state the same and different perspectives, each as a share of its kind.

    Args:
        name: the model, salt of the ids.
        edges: bin edges, one more than there are counts.
        same: counts of pairs of the same perspective.
        different: counts of pairs of different perspectives.
        threshold: chosen threshold, drawn as a line.
        interval: its 95% interval, drawn as a band.
        limits: range of cosines shown.

    Returns:
        SVG, or ``""`` when counts and edges do not fit.
    """
    if len(edges) < 2 or len(same) != len(edges) - 1 or len(different) != len(edges) - 1:
        return ""
    series = [("same", same, "c1"), ("different", different, "c0")]
    alt = f"Histogram of cosines, {name}: {sum(same):.0f} same and {sum(different):.0f} different pairs"
    alt += "" if threshold is None else f"; threshold {threshold:.3f}"
    alt += "" if interval is None else f" (95% interval {interval[0]:.3f} to {interval[1]:.3f})"

    def paint(axes: Any) -> None:
        for label, counts, colour in series:
            shares = [c / max(1, sum(counts)) for c in counts]
            axes.stairs(shares, edges, fill=True, color=COLOURS[colour], alpha=0.3, linewidth=0)
            axes.stairs(shares, edges, color=COLOURS[colour], linewidth=1.5, label=label)
        if interval is not None:
            axes.axvspan(*interval, color=COLOURS["muted"], alpha=0.25, linewidth=0)
        if threshold is not None:
            axes.axvline(threshold, color=COLOURS["ink"], linewidth=1.4, label=f"threshold {threshold:.2f}")
        axes.set_xlim(*limits)
        axes.set_xlabel("cosine")
        axes.set_ylabel("share of pairs")
        axes.locator_params(axis="y", nbins=5)
        axes.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g}%")
        axes.grid(False, axis="x")
        legend_above(axes, 3)

    return draw(f"cosines-{name}", _WIDE, alt + ".", paint)


def _short(value: float) -> str:
    return f"{value:.3g}"
