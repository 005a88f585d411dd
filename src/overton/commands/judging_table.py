"""The tables of ``overton judge`` and ``overton overtonbench`` for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
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
        if pairs := [row for row in figures["comparisons"] if row["metric"] == "judge_mean"]:
            tables.append(_pairs_table(pairs, f"Differences of mean grades by {judges}"))
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


def overtonbench_tables(figures: Row) -> list[Table]:
    """Tables of :func:`~overton.commands.judging_overtonbench.overtonbench_files`' figures for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    judge = f"ratings predicted by {escape(', '.join(figures['judges']))}, {figures['prompt']}"
    tables = []
    for whose, title in (("people", "people's own ratings"), ("judged", judge)):
        systems, pairs = figures[whose], figures["comparisons"][whose]
        if not systems:
            continue
        tau = next(iter(systems.values()))["tau"]
        table = Table(
            "", "split", "unweighted", "weighted", "questions", title=f"OvertonScore, tau = {tau:g}: {title} (95%)"
        )
        for name, found in systems.items():
            for split, scores in found["splits"].items():
                cells = (interval_cell(scores[kind], digits=3) for kind in ("unweighted", "weighted"))
                table.add_row(escape(name), split, *cells, scored_cell(scores["unweighted"]))
        tables.append(table)
        if pairs:
            tables.append(_pairs_table(pairs, f"Differences of OvertonScores: {title}"))
    if figures["check"]:
        names = ("n", "mae", "baseline_mae", "spearman", "baseline_spearman")
        table = Table("", *names, title="The judge against people; baseline: mean of the participant's other ratings")
        for model, found in figures["check"].items():
            table.add_row(escape(model), *(_number(found[name]) for name in names))
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


def _pairs_table(pairs: Sequence[Row], title: str) -> Table:
    """Differences between systems; p is corrected for all comparisons in the file."""
    from rich.markup import escape
    from rich.table import Table

    from overton.report.metrics import p_text

    columns = ("", "metric", "difference", "p (Holm)", "questions")
    table = Table(*columns, title=f"{title}, paired by question (95%)")
    for row in pairs:
        cell = interval_cell({**row, "mean": row["difference"]}, digits=3)
        names = f"{escape(row['a'])} - {escape(row['b'])}"
        p = "-" if row["p_holm"] is None else p_text(row["p_holm"])
        table.add_row(names, row["metric"], cell, p, scored_cell(row))
    return table


def _number(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
