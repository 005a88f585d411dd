"""The figures of the page of ``overton compare``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overton.report.axes import percent_axis, score_of
from overton.report.compare_metrics import COMPARED
from overton.report.files import Row, mapping
from overton.report.svg import COLOURS, MARKERS, draw, printable

_SETS = (
    ("oracle_coverage", "oracle_precision", "oracle_f1"),
    ("nli_coverage", "nli_precision", "nli_f1"),
    ("coverage", "precision", "f1"),
)
_LINES = ("-", "--", ":")


def scored_by(scores: Row, systems: Sequence[str]) -> tuple[str, ...]:
    """The three metrics that :func:`scores_figure` draws: the known truth's, else entailment's, else similarity's."""
    return next((s for s in _SETS if any(mapping(scores[x]).get(s[0]) for x in systems)), ())


def scores_figure(scores: Row, systems: Sequence[str]) -> str:
    """Coverage, precision and F1 of each system with 95% intervals, one row a system.

    Args:
        scores: system -> metric -> mean, low, high.
        systems: in display order, best first.

    Returns:
        SVG, or ``""`` without any of the metrics.
    """
    names = scored_by(scores, systems)
    if not names:
        return ""
    points = {m: [score_of(mapping(scores[s]).get(m)) for s in systems] for m in names}
    said = [
        f"{s}: " + ", ".join(f"{COMPARED[m].label} {100 * p[0]:.0f}%" for m in names if (p := points[m][i]))
        for i, s in enumerate(systems)
    ]

    def paint(axes: Any) -> None:
        for index, m in enumerate(names):
            found = [(i + (index - 1) * 0.2, *p) for i, p in enumerate(points[m]) if p]
            errors = [[mean - low for _, mean, low, _ in found], [high - mean for _, mean, _, high in found]]
            axes.errorbar(
                [mean for _, mean, _, _ in found], [y for y, *_ in found], xerr=errors, color=COLOURS[f"c{index}"],
                marker=MARKERS[index], markersize=5, linestyle="none", elinewidth=1.3, label=COMPARED[m].label,
            )  # fmt: skip
        axes.set_yticks(range(len(systems)), [_long(s) for s in systems])
        axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
        axes.set_ylim(len(systems) - 0.5, -0.5)
        percent_axis(axes, "x")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2)

    alt = f"Means with 95% intervals, {COMPARED[names[0]].group.lower()}. " + "; ".join(said) + "."
    return draw("compare-scores", (520.0, 60.0 + 26.0 * len(systems)), alt, paint)


def curve_figure(curves: Row, systems: Sequence[str]) -> str:
    """Coverage over the first k perspectives of the answer, one line a system.

    Args:
        curves: system -> k -> mean, low, high.
        systems: in display order.

    Returns:
        SVG, or ``""`` when there is nothing to draw.
    """
    lines = []
    for s in systems:
        cells = {int(k): p for k, v in mapping(curves.get(s)).items() if str(k).isdigit() and (p := score_of(v))}
        if cells:
            lines.append((s, sorted((k, p[0]) for k, p in cells.items())))
    if not lines:
        return ""

    def paint(axes: Any) -> None:
        for index, (s, points) in enumerate(lines):
            axes.plot(
                [k for k, _ in points], [y for _, y in points], color=COLOURS[f"c{index % 5}"], linewidth=1.6,
                linestyle=_LINES[index // 5 % 3], marker=MARKERS[index % len(MARKERS)], markersize=4, label=_long(s),
            )  # fmt: skip
        axes.set_xlabel("perspectives of the answer that count")
        axes.set_xticks(sorted({k for _, points in lines for k, _ in points}))
        axes.grid(False, axis="x")
        percent_axis(axes, "y")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), borderaxespad=0.2, handlelength=2.4)

    said = "; ".join(f"{s}: {100 * p[0][1]:.0f}% at 1, {100 * p[-1][1]:.0f}% at {p[-1][0]}" for s, p in lines)
    return draw("compare-curve", (620.0, 280.0), f"Coverage over the first perspectives. {said}.", paint)


def _long(system: str) -> str:
    # A leading underscore would hide the entry from matplotlib's legend.
    text = printable(system).lstrip("_")
    return text if len(text) <= 32 else text[:31] + "…"
