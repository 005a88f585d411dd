"""The result of ``overton compare`` as Markdown, CSV, LaTeX, for the terminal, and as files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

FILES = ("comparison.json", "table.md", "table.csv", "comparisons.csv", "rows.csv", "table.tex", "index.html")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "–": "--", "−": "$-$",
}  # fmt: skip
_NAME = 30  # characters of a system's name on a line
_MAIN = ("coverage", "precision", "f1")
_SHORT = {"vendi": "Vendi", "perspectives": "Persp.", "words": "Words"}
_SCORE = ("mean", "low", "high", "n", "unscored")
_PAIR = (
    "a", "b", "metric", "difference", "low", "high", "p_value", "p_holm", "relative", "cohens_dz", "cliffs_delta", "n",
    "unscored",
)  # fmt: skip


def write_comparison(comparison: Mapping[str, Any], folder: Path, title: str) -> list[Path]:
    """Write :data:`FILES` into a folder, each whole or not at all.

    Raises:
        RunError: the folder cannot be written.
        MissingDependencyError: what draws the page is not installed.
    """
    from overton.jsonio import write_json, write_text
    from overton.report.compare import build_comparison
    from overton.report.stage import writable

    page = build_comparison(dict(comparison), title)
    tables = (markdown(comparison), table_csv(comparison), comparisons_csv(comparison), rows_csv(comparison))
    paths = [folder / name for name in FILES]
    write_json(paths[0], _summary(comparison))
    for path, text in zip(paths[1:], (*tables, latex(comparison), page), strict=True):
        write_text(path, writable(text))
    return paths


def markdown(comparison: Mapping[str, Any]) -> str:
    """One table a group of metrics, one of faults, and what to keep in mind."""
    from overton.report.compare import blocks, opening
    from overton.report.markdown import cautions, grid, plain

    result = dict(comparison)
    parts = [plain(opening(result)), *cautions(comparison["warnings"], comparison["notes"])]
    rows = [
        [s, str(own["answers"]), str(own["with_references"]), str(sum(comparison["unscored"][s].values()))]
        for s, own in comparison["answers"].items()
    ]
    parts += ["## Answers", grid(["system", "answers", "with a question", "not scored in some metric"], rows)]
    for block in blocks(result):
        rows = [[s, *map(str, cells)] for s, cells in block.rows]
        parts += [f"## {block.title}", grid(["system", *(m.label for m in block.metrics)], rows)]
    faults = comparison["faults"]
    names = [n for n in comparison["fault_definitions"] if any(n in own for own in faults.values())]
    if names:
        rows = [[s, *(str(own[n]["answers"]) if n in own else "0" for n in names)] for s, own in faults.items()]
        parts += ["## Answers with faults", grid(["system", *(n.replace("_", " ") for n in names)], rows)]
    return "\n\n".join(parts) + "\n"


def table_csv(comparison: Mapping[str, Any]) -> str:
    """One row a system and metric: ``mean``, ``low``, ``high``, ``n``, ``unscored``."""
    rows = [
        [system, metric, *(score[k] for k in _SCORE)]
        for system, own in comparison["systems"].items()
        for metric, score in own.items()
    ]
    return _csv(("system", "metric", *_SCORE), rows)


def comparisons_csv(comparison: Mapping[str, Any]) -> str:
    """One row a pair of systems and metric."""
    return _csv(_PAIR, [[row[k] for k in _PAIR] for row in comparison["comparisons"]])


def rows_csv(comparison: Mapping[str, Any]) -> str:
    """One row an answer: what means, intervals and tests are made of."""
    rows = comparison["rows"]
    return _csv(tuple(rows[0]), [list(row.values()) for row in rows])


def _summary(comparison: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in comparison.items() if key != "rows"}


def latex(comparison: Mapping[str, Any]) -> str:
    """One ``tabular`` a group of metrics (package booktabs); intervals in brackets. Notes stand before, as comments."""
    from overton.report.compare import blocks

    told = [f"% {' '.join(line.split())}" for line in (*comparison["warnings"], *comparison["notes"])]
    parts = ["\n".join(["% \\usepackage{booktabs}", *told])]
    for block in blocks(dict(comparison)):
        head = " & ".join(["System", *(_tex(m.label) for m in block.metrics)])
        rows = [
            " & ".join([_tex_name(s), *(_tex(f"{c.text} [{c.interval}]" if c.interval else c.text) for c in cells)])
            for s, cells in block.rows
        ]
        parts.append(
            "\n".join(
                [
                    f"% {block.title}",
                    f"\\begin{{tabular}}{{l{'r' * len(block.metrics)}}}",
                    "\\toprule",
                    f"{head} \\\\",
                    "\\midrule",
                    *(f"{row} \\\\" for row in rows),
                    "\\bottomrule",
                    "\\end{tabular}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def print_main(comparison: Mapping[str, Any]) -> None:
    """Print systems x the main figures, as many figures side by side as the terminal has room for."""
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from overton.commands.scoring_table import print_fitted
    from overton.report.compare import blocks
    from overton.report.compare_metrics import DIVERSITY, FORM
    from overton.report.svg import printable

    figures: list[tuple[str, list[str]]] = []
    for block in blocks(dict(comparison)):
        source = "" if block.title in (DIVERSITY, FORM) else f"\n{block.title.split()[0].lower()}"
        for index, m in enumerate(block.metrics):
            main = m.name.removeprefix("oracle_").removeprefix("nli_") in _MAIN
            if main or m.name in (*_SHORT, comparison["ranked_by"]):
                cells = [cells[index].text for _, cells in block.rows]
                figures.append((_SHORT.get(m.name, m.label) + source, cells))
    names = [printable(system) for system in comparison["systems"]]
    width = min(_NAME, max(map(cell_len, names)))

    def table(first: int, stop: int) -> Table:
        made = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        made.add_column("system", min_width=width, max_width=_NAME, overflow="fold")
        for head, _ in figures[first:stop]:
            made.add_column(head, justify="right", no_wrap=True)
        for index, name in enumerate(names):
            made.add_row(Text(name), *(cells[index] for _, cells in figures[first:stop]))
        return made

    print_fitted(len(figures), table)


FORMATS = {
    "markdown": markdown,
    "csv": table_csv,
    "latex": latex,
    "json": lambda comparison: json.dumps(_summary(comparison), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
}


def _csv(head: tuple[str, ...], rows: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if v is None else _no_formula(v) for v in row] for row in rows])
    return text.getvalue()


def _tex(text: str) -> str:
    return re.sub("|".join(map(re.escape, _LATEX)), lambda m: _LATEX[m.group()], text)


def _tex_name(name: str) -> str:
    """On one line; after the end of a row, a bracket or a star would be read as its option."""
    text = _tex(" ".join(name.split()))
    return f"{{}}{text}" if text.startswith(("[", "*")) else text


def _no_formula(cell: Any) -> Any:
    """A name that a spreadsheet would calculate, behind an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
