"""The tables of the page as Markdown, for a terminal, a pull request or a README."""

from __future__ import annotations

import re
from collections.abc import Sequence

from overton.recipe import Recipe
from overton.report.estimator import estimator_rows, mix_note
from overton.report.files import Guard, Row, RunFiles, mapping
from overton.report.heat import heat_rows, heat_systems
from overton.report.judges import PAIR_HEAD, agreement_rows, pair_rows
from overton.report.metrics import duration
from overton.report.opening import opening
from overton.report.story import alarms, count_notes, points_note, warnings
from overton.report.svg import printable
from overton.report.tables import (
    Cell,
    CountTable,
    Headline,
    count_table,
    headline,
    other_comparisons,
    other_count_tables,
    time_table,
)

_SPECIAL = re.compile(r"([\\`*_\[\]{}|#~>])")


def build_markdown(recipe: Recipe, files: RunFiles) -> str:
    """``report.md``: the same tables as the page, without figures and examples.

    Args:
        recipe: the resolved recipe.
        files: what the run directory holds.

    Returns:
        Markdown (GitHub's tables). Names that come from files are escaped.
    """
    safe = Guard(files.notes)
    table = safe("results", lambda: headline(files.summary)) or Headline((), "", "", ())
    parts = [f"# {plain(recipe.name)}", plain(safe("results", lambda: opening(files, table)) or "")]
    for part, make in (
        ("results", lambda: cautions(alarms(files), warnings(files, table))),
        ("results", lambda: _results(table)),
        ("results", lambda: _other(files, table)),
        ("results", lambda: _judges(files)),
        ("results", lambda: _by_count(files.summary, table)),
        ("results", lambda: _others_by_count(files.summary, table)),
        ("results", lambda: _values(files.summary, table)),
        ("estimator", lambda: _estimator(files)),
        ("stages", lambda: _times(files)),
    ):
        parts += safe(part, make) or []
    missing = [line for lines in safe.notes.values() for line in lines]
    if missing:
        parts += ["## Left out", "\n".join(f"- {plain(line)}" for line in missing)]
    return "\n\n".join(parts) + "\n"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right-aligned. Cells are escaped."""
    lines = [_row(head), "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|"]
    return "\n".join([*lines, *(_row(r) for r in rows)])


def plain(text: str) -> str:
    """Text that Markdown shows as it is: one line, no markup, no HTML."""
    line = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", line)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(plain(c) for c in cells) + " |"


def _results(table: Headline) -> list[str]:
    parts: list[str] = []
    for group, lines in table.groups:
        head = ["metric", *table.systems]
        compared = any(line.change.difference for line in lines)
        head += ["difference", "relative", "p"] if compared else []
        rows = []
        for line in lines:
            row = [line.metric.label, *map(str, line.cells)]
            c = line.change
            if compared:
                row += [str(Cell(c.difference, c.small)), c.relative, c.p]
            rows.append(row)
        parts += [f"## {group}", grid(head, rows)]
    if parts and table.treated:
        parts.append(plain(points_note(table.baseline, table.treated).replace("Small figures", "Brackets")))
    return parts


def _other(files: RunFiles, table: Headline) -> list[str]:
    rows = [
        [
            f"{a} against {b}",
            f"{m.label}, {m.group.lower()}",
            str(Cell(c.difference, c.small)),
            c.relative,
            c.p,
        ]
        for a, b, m, c in other_comparisons(files.summary, table)
    ]
    return ["## More comparisons", grid(["pair", "metric", "difference", "relative", "p"], rows)] if rows else []


def _judges(files: RunFiles) -> list[str]:
    parts = []
    if pairs := [[pair, *map(str, cells)] for pair, cells in pair_rows(files)]:
        parts += ["## Compared by language models", grid([name.lower() for name in PAIR_HEAD], pairs)]
    if agreement := agreement_rows(files):
        parts += ["## Agreement of the judges", grid(["judged", "Krippendorff's alpha", "cases"], agreement)]
    return parts


def _by_count(summary: Row, table: Headline) -> list[str]:
    systems, rows = counted = count_table(summary, table)
    if not rows:
        return []
    notes = [plain(note) for note in count_notes(summary, systems)]
    return ["## Coverage by number of perspectives", _count_grid(counted), *notes]


def _others_by_count(summary: Row, table: Headline) -> list[str]:
    parts = ["## Other metrics by number of perspectives"]
    for m, counted in other_count_tables(summary, table):
        parts += [f"{m.label}, {m.group.lower()}:", _count_grid(counted)]
    return parts if len(parts) > 1 else []


def _count_grid(counted: CountTable) -> str:
    systems, rows = counted
    return grid(["references", *systems, "n"], [[count, *map(str, cells), n] for count, cells, n in rows])


def _values(summary: Row, table: Headline) -> list[str]:
    per_value = mapping(summary.get("per_value"))
    systems = heat_systems(per_value, table.systems)
    found = heat_rows(per_value, systems, table.baseline, table.treated)
    rows = [[r.value, *(f"{c.text}%" if c.level >= 0 else "" for c in r.cells), r.change, str(r.total)] for r in found]
    if not rows:
        return []
    note = "Share of the situations where a value matters whose answer states it; change in percentage points."
    return ["## Coverage by value", note, grid(["value", *systems, "change", "n"], rows)]


def cautions(alarms: Sequence[str], notes: Sequence[str]) -> list[str]:
    """What shares weights with the reward, and what else to keep in mind: a list each, where there is any."""
    return [
        f"**{head}:**\n\n" + "\n".join(f"- {plain(line)}" for line in lines)
        for head, lines in (("Not independent", alarms), ("Keep in mind", notes))
        if lines
    ]


def _estimator(files: RunFiles) -> list[str]:
    rows = [[label, *map(str, cells), str(gap)] for label, cells, gap in estimator_rows(files)]
    if not rows:
        return []
    notes = [note] if (note := mix_note(files.benchmark)) else []
    return ["## Estimator", *notes, grid(["metric", "untuned base", "tuned", "difference"], rows)]


def _times(files: RunFiles) -> list[str]:
    rows = [
        [stage, "" if wall is None else duration(wall), "" if cpu is None else duration(cpu)]
        for stage, wall, cpu, _ in time_table(files)
    ]
    return ["## Time", grid(["stage", "wall clock", "CPU"], rows)] if rows else []
