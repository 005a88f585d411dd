"""The tables of ``overton judge``, and the cells that ``overton overtonbench`` shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Row = dict[str, Any]


def judge_tables(figures: Row) -> list[Table]:
    """Tables of :func:`~overton.commands.judging.judge_files`' figures for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    from overton.evaluation.judge.score import METRICS

    tables = []
    if systems := figures.get("systems"):
        judges = escape(", ".join(figures["judges"]))
        table = Table("", title=f"Grades from 1 to 5 by {judges} (95%)")
        for system in systems:
            table.add_column(escape(system), overflow="fold", justify="right")
        for metric in METRICS:
            table.add_row(metric, *(interval_cell(found[metric]) for found in systems.values()))
        table.add_row("scored", *(scored_cell(found["judge_mean"]) for found in systems.values()))
        tables.append(table)
    for pair in figures["pairwise"]:
        table = Table("", "", title=f"{escape(pair['a'])} against {escape(pair['b'])}, both orders (95%)")
        table.add_row("win rate", interval_cell(pair["win_rate"], 100, 1, "%"))
        for name in ("wins", "ties", "losses", "flips", "first"):
            table.add_row(name, "-" if pair[name] is None else f"{100 * pair[name]:.1f}%")
        table.add_row("scored", scored_cell(pair["win_rate"]))
        tables.append(table)
    if figures["agreement"]:
        table = Table("", "alpha", "units", title="Agreement of the judges (Krippendorff)")
        for name, found in figures["agreement"].items():
            table.add_row(name, "-" if found["alpha"] is None else f"{found['alpha']:.3f}", str(found["units"]))
        tables.append(table)
    return tables


def interval_cell(value: Row, scale: float = 1, digits: int = 2, unit: str = "") -> str:
    """A mean with its bounds: ``4.12 (3.98 to 4.25)``."""
    if value["mean"] is None:
        return "-"
    text = f"{scale * value['mean']:.{digits}f}{unit}"
    if value["low"] is None:
        return text
    return f"{text} ({scale * value['low']:.{digits}f} to {scale * value['high']:.{digits}f})"


def scored_cell(value: Row) -> str:
    """How many were scored: ``98 of 100``."""
    return f"{value['n']} of {value['n'] + value['unscored']}"
