"""The result of ``overton score`` as JSON and as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from overton.commands.scoring import ScoreReport
from overton.commands.scoring_pairs import FORM, NLI, NO_REFERENCE, ORACLE, PUBLISHED, SPENT
from overton.commands.scoring_similarity import SIMILARITY, Row
from overton.notes import reasons

if TYPE_CHECKING:
    from rich.table import Table

_METRIC, _ALONE, _SYSTEM = 26, 36, 22  # widths of the columns, in characters: two systems have room in 80
_RATIOS = ("distinct_1", "distinct_2", "self_bleu")
_DIGITS = {"seconds": 3, "cost": 5}  # decimals; of other counts 2, of shares in per cent 1
SHARES = frozenset({"valid_tags", *SIMILARITY, *ORACLE, *NLI, *PUBLISHED, *_RATIOS}) - {"vendi"}


def report_json(report: ScoreReport) -> Row:
    """The report as one JSON object, without the single rows."""
    return {
        "systems": report.systems,
        "threshold": report.threshold,
        "answers": len(report.rows),
        "unmatched": report.unmatched,
        "unanswered": report.unanswered,
        "unscored": reasons(report.rows),
        "notes": report.notes,
        "warnings": report.warnings,
    }


def print_report(report: ScoreReport) -> None:
    """Print metrics x systems with 95% intervals, as many systems side by side as the terminal has room for."""
    names = list(report.systems)
    print_fitted(len(names), lambda first, stop: _table(report, names[first:stop], stop == len(names)))


def print_fitted(columns: int, make: Callable[[int, int], Table]) -> None:
    """Print a table, or several below each other where its columns have no room side by side. Nothing is cut.

    Args:
        columns: how many there are beside the first, which all tables have.
        make: the table of the columns from one number to before another.
    """
    from rich.console import Console

    console = Console()
    unbounded = console.options.update(max_width=100_000)

    def width(table: Table) -> int:
        return console.measure(table, options=unbounded).maximum

    first = 0
    while first < columns:
        stop = first + 1
        while stop < columns and width(make(first, stop + 1)) <= console.width:
            stop += 1
        table = make(first, stop)
        table.width = width(table)
        console.print(table, crop=False)
        first = stop


def _table(report: ScoreReport, names: Sequence[str], last: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    systems = [report.systems[name] for name in names]
    table = Table()
    width = _METRIC if len(names) > 1 else _ALONE
    table.add_column("metric", min_width=_METRIC, max_width=width, overflow="fold")
    for name in names:
        shown = Text(_printable(name) or "answers")
        table.add_column(shown, justify="right", max_width=_SYSTEM, overflow="fold")
    used = report.threshold
    measured = "calibrated" if used.get("calibrated") else "not calibrated"
    heads = (
        (f"similarity at {used['value']:.3f}, {measured}" if used else "", SIMILARITY),
        ("known truth", ORACLE),
        ("entailment", NLI),
        ("entailment, as published", PUBLISHED),
        ("form", (*FORM, *SPENT)),
    )
    counts = Counter(row["system"] for row in report.rows if row["reason"] != NO_REFERENCE)
    table.add_row("answers with a reference", *(str(counts[name]) for name in names))
    for head, metrics in heads:
        present = [m for m in metrics if any(m in scores for scores in systems)]
        if not present:
            continue
        table.add_section()
        table.add_row(Text(head, style="bold"))
        for metric in present:
            cells = [_cell(metric, scores[metric]) for scores in systems]
            table.add_row(f"  {metric.partition('_')[2] if metric in (*ORACLE, *NLI, *PUBLISHED) else metric}", *cells)
    for reason, number in reasons(report.rows).items() if last else ():
        table.add_section()
        table.add_row(Text(f"unscored: {_printable(reason)}"), str(number))
    return table


def _cell(metric: str, score: Mapping[str, Any]) -> str:
    if score["mean"] is None:
        return ""
    scale, digits = (100, 1) if metric in SHARES else (1, _DIGITS.get(metric, 2))
    text = f"{scale * score['mean']:.{digits}f}" + ("%" if metric in SHARES else "")
    if score["low"] is None:
        return text
    return f"{text} ({scale * score['low']:.{digits}f}–{scale * score['high']:.{digits}f})"


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())
