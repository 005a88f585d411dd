"""What several figures share: axes, legends, colours of systems, and what is drawn of a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overton.report.files import mapping, number
from overton.report.svg import printable
from overton.report.tables import GREEDY


def moving_average(values: Sequence[float], reach: int) -> list[float]:
    """Mean of each value and up to ``reach`` neighbours on either side, as many left as right.

    Only at the very ends, where that would leave single noisy values, it takes up to two from the inner side.
    """
    result = []
    last = len(values) - 1
    for i in range(len(values)):
        r = max(min(reach, i, last - i), min(reach, 2))
        window = values[max(0, i - r) : i + r + 1]
        result.append(sum(window) / len(window))
    return result


def score_of(value: Any) -> tuple[float, float, float] | None:
    """Mean, low, high; the mean stands in for a bound that is missing."""
    row = mapping(value)
    mean, low, high = number(row.get("mean")), number(row.get("low")), number(row.get("high"))
    return None if mean is None else (mean, mean if low is None else low, mean if high is None else high)


def share_interval(share: float, pairs: float, weight: float = 1.0) -> tuple[float, float]:
    """Wilson's 95% interval of a weighted share of pairs: that of the pairs as they are, brought to the same mix.

    Args:
        share: of the same pairs, from 0 to 1, where a different pair counted ``weight`` and a same pair 1.
        pairs: how many there are, unweighted.
        weight: above 0.
    """
    from scipy.stats import binomtest

    same = round(share * weight * pairs / (1 - share + share * weight))
    found = binomtest(same, round(pairs)).proportion_ci(method="wilson")
    low, high = (q / (q + weight * (1 - q)) for q in (found.low, found.high))
    return low, high


def colour_of(system: str, systems: Sequence[str]) -> str:
    base = system.removesuffix(GREEDY)
    return f"c{min(5, systems.index(base if base in systems else system))}"


def percent_axis(axes: Any, which: str) -> None:
    """Make the ``x`` or ``y`` axis one of shares, 0 to 100%."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(0, 1.04)
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1.0])
    axis.set_major_formatter(lambda v, _: f"{100 * v:.0f}%")


def short_name(system: str) -> str:
    # A leading underscore would hide the entry from matplotlib's legend.
    text = printable(system).lstrip("_")
    return text if len(text) <= 20 else text[:19] + "…"


def legend_above(axes: Any, columns: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(columns, 3), borderaxespad=0.2, handlelength=1.6,
        columnspacing=1.4,
    )  # fmt: skip
