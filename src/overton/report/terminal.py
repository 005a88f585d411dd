"""The headline table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overton.report.files import read_summary
from overton.report.metrics import INDEPENDENT, NLI, TRUTH
from overton.report.svg import printable
from overton.report.tables import Headline, Line, headline, is_greedy
from overton.rundir import RunDir

if TYPE_CHECKING:
    from rich.table import Table

_COLOUR = {"better": "green", "worse": "red"}
_CHANGE = ("change", "95% interval", "relative", "p")  # from the last that a narrow terminal has no room for
_GROUPS = {TRUTH: "Known truth", INDEPENDENT: "Independent", NLI: "NLI"}
_SHORT = {
    "perspectives": "Perspectives",
    "true_perspectives": "True perspectives",
    "perspective_ratio": "Perspectives/true",
    "words": "Words",
    "tokens": "Tokens",
}


def summary_table(run: RunDir, width: int) -> Table:
    """The table that ends ``overton run``: systems x metrics, and the change with its interval and p-value.

    Args:
        run: a run whose evaluation is done.
        width: columns of the terminal. Where they are too few for whole names and values, p, the relative change, the
            interval and the change are left out, in this order.

    Returns:
        A rich table; one line saying what is missing when there is no summary.
    """
    from rich.console import Console

    summary, note = read_summary(run)
    found = headline(summary)
    names = [_name(line) for _, lines in found.groups for line in lines]
    longest = 2 + max((len(word) for name in names for word in name.split()), default=0)
    saved = max(0, max(map(len, names), default=0) - longest)  # by names on several lines
    endless = Console(width=10_000)
    for count in range(len(_CHANGE) if found.treated else 0, -1, -1):
        table = _table(found, note, longest, _CHANGE[:count])
        if endless.measure(table).maximum - saved <= width:
            break
    return table


def _name(line: Line) -> str:
    return f"  {_SHORT.get(line.metric.name, line.metric.label)}"


def _table(found: Headline, note: str, longest: int, change: tuple[str, ...]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("metric", overflow="fold", min_width=longest)
    if not found.groups:
        table.add_row(Text(note or "evaluation/summary.json holds no metrics"))
        return table
    # Greedy answers stay on the page: with them the table would not fit into 80 columns.
    shown = [i for i, s in enumerate(found.systems) if not is_greedy(s)] or list(range(len(found.systems)))
    for index in shown:
        table.add_column(Text(printable(found.systems[index])), justify="right")
    for title in change:
        table.add_column(title, justify="right", no_wrap=True)
    for group, lines in found.groups:
        table.add_row(Text(_GROUPS.get(group, group), style="bold"))
        for line in lines:
            row = [Text(_name(line))]
            row += [Text(line.cells[i].text) for i in shown]
            c = line.change
            style = _COLOUR.get(c.verdict, "")
            of_change = (
                Text(c.difference, style=style),
                Text("\n".join(text for text in (c.interval, c.count) if text)),
                Text(c.relative, style=style),
                Text(c.p),
            )
            table.add_row(*row, *of_change[: len(change)])
    return table
