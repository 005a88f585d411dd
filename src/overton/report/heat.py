"""Coverage by value: rows for the heat map, sorted by how much the treated system changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from overton.report.files import Row, mapping, number
from overton.report.metrics import METRICS, difference_text
from overton.report.tables import is_greedy

_POINTS = replace(METRICS["oracle_coverage"], digits=0)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """Coverage of one value by one system; ``level`` 0 to 10 picks the colour, -1 for no data."""

    text: str
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One value."""

    value: str
    total: int
    cells: tuple[HeatCell, ...]
    change: str
    raw: float | None


def heat_systems(per_value: Row, order: Sequence[str]) -> list[str]:
    """Systems with figures by value; greedy answers only when there are no sampled ones."""
    there = [s for s in order if mapping(per_value.get(s))]
    return [s for s in there if not is_greedy(s)] or there


def heat_rows(per_value: Row, systems: Sequence[str], baseline: str, treated: str) -> list[HeatRow]:
    """Rows sorted by change, greatest gain first; values without a change come last, by name.

    Args:
        per_value: ``summary["per_value"]``: system -> value -> covered, total.
        systems: columns.
        baseline: system that the change is counted from.
        treated: system that the change is counted to.
    """
    values = sorted({v for s in systems for v in mapping(per_value.get(s))})
    rows = []
    for value in values:
        shares = {s: _share(mapping(per_value.get(s)).get(value)) for s in systems}
        before, after = shares.get(baseline), shares.get(treated)
        raw = after[0] - before[0] if before and after else None
        cells = tuple(_cell(shares[s], s) for s in systems)
        total = max((int(c[2]) for c in shares.values() if c), default=0)
        change = "" if raw is None else difference_text(_POINTS, raw)
        rows.append(HeatRow(value, total, cells, change, raw))
    return sorted(rows, key=lambda r: (r.raw is None, -(r.raw or 0.0), r.value))


def blocks(rows: Sequence[HeatRow], systems: int) -> list[list[HeatRow]]:
    """Cut into blocks of nearly the same length that stand side by side: more systems, fewer blocks."""
    count = 1 if len(rows) < 12 or systems > 5 else 2 if systems > 2 else 3
    size = -(-len(rows) // count) or 1
    return [list(rows[i : i + size]) for i in range(0, len(rows), size)]


def _share(value: object) -> tuple[float, float, float] | None:
    covered, total = number(mapping(value).get("covered")), number(mapping(value).get("total"))
    return None if covered is None or not total else (covered / total, covered, total)


def _cell(share: tuple[float, float, float] | None, system: str) -> HeatCell:
    if share is None:
        return HeatCell("–", -1, f"{system}: no such reference")
    level = min(10, max(0, round(10 * share[0])))
    return HeatCell(f"{100 * share[0]:.0f}", level, f"{system}: {share[1]:.0f} of {share[2]:.0f}")
