"""The headline table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overton.report.files import read_summary
from overton.report.metrics import INDEPENDENT, NLI, TRUTH
from overton.report.svg import printable
from overton.report.tables import headline, is_greedy
from overton.rundir import RunDir

if TYPE_CHECKING:
    from rich.table import Table

_COLOUR = {"better": "green", "worse": "red"}
_GROUPS = {TRUTH: "Known truth", INDEPENDENT: "Independent", NLI: "NLI"}
_SHORT = {
    "perspectives": "Perspectives",
    "true_perspectives": "True perspectives",
    "perspective_ratio": "Perspectives/true",
    "words": "Words",
    "tokens": "Tokens",
}


def summary_table(run: RunDir) -> Table:
    """The table that ends ``overton run``: systems x metrics, and the change with its interval and p-value.

    Args:
        run: a run whose evaluation is done.

    Returns:
        A rich table; one line saying what is missing when there is no summary.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    summary, note = read_summary(run)
    found = headline(summary)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("metric", overflow="fold")
    if not found.groups:
        table.add_row(Text(note or "evaluation/summary.json holds no metrics"))
        return table
    # Greedy answers stay on the page: with them the table would not fit into 80 columns.
    shown = [i for i, s in enumerate(found.systems) if not is_greedy(s)] or list(range(len(found.systems)))
    for index in shown:
        table.add_column(Text(printable(found.systems[index])), justify="right")
    if found.treated:
        for title in ("change", "95% interval", "relative", "p"):
            table.add_column(title, justify="right", no_wrap=True)
    for group, lines in found.groups:
        table.add_row(Text(_GROUPS.get(group, group), style="bold"))
        for line in lines:
            row = [Text(f"  {_SHORT.get(line.metric.name, line.metric.label)}")]
            row += [Text(line.cells[i].text) for i in shown]
            if found.treated:
                c = line.change
                style = _COLOUR.get(c.verdict, "")
                row += [
                    Text(c.difference, style=style),
                    Text("\n".join(text for text in (c.interval, c.count) if text)),
                    Text(c.relative, style=style),
                    Text(c.p),
                ]
            table.add_row(*row)
    return table
