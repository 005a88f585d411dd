"""The result of ``overton score`` as JSON and as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from overton.scoring import FORM, NLI, ORACLE, PUBLISHED, SPENT, ScoreReport
from overton.scoring_similarity import SIMILARITY, Row

if TYPE_CHECKING:
    from rich.table import Table

_RATIOS = ("distinct_1", "distinct_2", "self_bleu")
SHARES = frozenset({"valid_tags", *SIMILARITY, *ORACLE, *NLI, *PUBLISHED, *_RATIOS}) - {"vendi"}


def unscored(report: ScoreReport) -> dict[str, int]:
    """Reasons why answers, or some metric of them, have no value, with their number."""
    return dict(Counter(row["reason"] for row in report.rows if row["reason"]).most_common())


def report_json(report: ScoreReport) -> Row:
    """The report as one JSON object, without the single rows."""
    return {
        "systems": report.systems,
        "threshold": report.threshold,
        "answers": len(report.rows),
        "unmatched": report.unmatched,
        "unanswered": report.unanswered,
        "unscored": unscored(report),
        "notes": report.notes,
        "warnings": report.warnings,
    }


def report_table(report: ScoreReport) -> Table:
    """Metrics x systems with 95% intervals, for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("metric")
    for name in report.systems:
        table.add_column(Text(_printable(name) or "answers"), justify="right")
    used = report.threshold
    measured = "calibrated" if used.get("calibrated") else "not calibrated"
    heads = (
        (f"similarity at {used['value']:.3f}, {measured}" if used else "", SIMILARITY),
        ("known truth", ORACLE),
        ("entailment", NLI),
        ("entailment, as published", PUBLISHED),
        ("form", (*FORM, *SPENT)),
    )
    for head, metrics in heads:
        present = [m for m in metrics if any(m in scores for scores in report.systems.values())]
        if not present:
            continue
        table.add_section()
        table.add_row(Text(head, style="bold"))
        for metric in present:
            cells = [_cell(metric, scores[metric]) for scores in report.systems.values()]
            table.add_row(f"  {metric.partition('_')[2] if metric in (*ORACLE, *NLI, *PUBLISHED) else metric}", *cells)
    for reason, number in unscored(report).items():
        table.add_section()
        table.add_row(Text(f"unscored: {_printable(reason)}"), str(number))
    return table


def _cell(metric: str, score: Mapping[str, Any]) -> str:
    if score["mean"] is None:
        return ""
    scale, digits = (100, 1) if metric in SHARES else (1, 2)
    text = f"{scale * score['mean']:.{digits}f}" + ("%" if metric in SHARES else "")
    if score["low"] is None:
        return text
    return f"{text} ({scale * score['low']:.{digits}f}–{scale * score['high']:.{digits}f})"


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())
