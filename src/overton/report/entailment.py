"""Entailment at every threshold, and several NLI models side by side, from ``summary["nli"]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overton.report.axes import colour_of, legend_above, percent_axis, short_name
from overton.report.files import Row, mapping, number
from overton.report.metrics import METRICS
from overton.report.svg import COLOURS, draw
from overton.report.tables import cell

_SHOWN = ("nli_mean", "nli_accuracy", "nli_reverse_mean", "coverage", "precision")


def entailment_part(summary: Row, systems: Sequence[str]) -> Row | None:
    """What the page shows.

    Args:
        summary: ``evaluation/summary.json``.
        systems: in the order of their colours.

    Returns:
        ``svg`` (Accuracy@t of the first model), ``model``, ``head`` and ``rows`` (a row a model and system, only with
        more than one model); ``None`` without curves.
    """
    entries = [e for e in summary.get("nli") or [] if isinstance(e, dict)]
    if not entries:
        return None
    shown = number(summary.get("nli_threshold"))
    svg = accuracy_figure(mapping(entries[0].get("curve")), systems, 0.33 if shown is None else shown)
    if not svg:
        return None
    rows = [
        [str(e.get("model")), system, *_cells(mapping(mapping(e.get("systems")).get(system)))]
        for e in entries
        for system in systems
        if system in mapping(e.get("systems"))
    ]
    return {
        "svg": svg,
        "model": str(entries[0].get("model")),
        "head": ["Model", "System", *(METRICS[name].label for name in _SHOWN)],
        "rows": rows if len(entries) > 1 else [],
    }


def accuracy_figure(curves: Row, systems: Sequence[str], threshold: float) -> str:
    """Share of situations whose mean entailment is above t, for all t, with 95% bands.

    Args:
        curves: system -> ``accuracy``, ``low`` and ``high``, each a number for t = 0 to 1 in equal steps.
        systems: which to draw, in the order of their colours.
        threshold: marked with a dashed line.

    Returns:
        SVG, or ``""`` when no system has a curve.
    """
    lines = [(s, found) for s in systems if len((found := mapping(curves.get(s))).get("accuracy") or []) > 1]
    if not lines:
        return ""
    said = []
    for system, found in lines:
        place = round(threshold * (len(found["accuracy"]) - 1))
        said.append(f"{system}: {100 * found['accuracy'][place]:.0f}%")

    def paint(axes: Any) -> None:
        for system, found in lines:
            steps = len(found["accuracy"]) - 1
            t = [i / steps for i in range(steps + 1)]
            colour = COLOURS[colour_of(system, systems)]
            axes.fill_between(t, found["low"], found["high"], color=colour, alpha=0.18, linewidth=0)
            axes.plot(t, found["accuracy"], color=colour, linewidth=1.7, label=short_name(system))
        axes.axvline(threshold, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlabel(f"threshold t (dashed: {threshold:g})")
        percent_axis(axes, "y")
        axes.set_xlim(0, 1)
        legend_above(axes, len(lines))

    alt = "Share of situations whose mean entailment is above t, against t, with 95% bands. "
    return draw("entailment", (360.0, 235.0), f"{alt}At {threshold:g}: {', '.join(said)}.", paint)


def _cells(scores: Row) -> list[str]:
    return [str(cell(METRICS[name], mapping(scores.get(name)))) or "–" for name in _SHOWN]
